"""Distances to edges are scipy's, to the last bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from pansight.drawing.distance import distance_inside


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_against_scipy(height: int, width: int, share: float, seed: int) -> None:
    inner = np.zeros((height + 2, width + 2), dtype=np.bool_)
    inner[1:-1, 1:-1] = np.random.default_rng(seed).random((height, width)) >= share**3
    np.testing.assert_array_equal(distance_inside(inner), distance_transform_edt(inner))


def test_one_large_region() -> None:
    inner = np.pad(np.ones((180, 120), dtype=np.bool_), 1)
    inner[90, 60] = False
    np.testing.assert_array_equal(distance_inside(inner), distance_transform_edt(inner))
