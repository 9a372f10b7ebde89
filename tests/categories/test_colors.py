import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pansight.categories.colors import distinct_colors, from_oklab, oklab


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 8), st.just(3))))
def test_oklab_there_and_back(rgb: np.ndarray) -> None:
    np.testing.assert_array_equal(from_oklab(oklab(rgb)), rgb)


def test_oklab_of_known_colours() -> None:
    lab = oklab(np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], dtype=np.uint8))
    # The last is the value that the definition's author gives for sRGB red.
    np.testing.assert_allclose(
        lab, np.array([[0, 0, 0], [1, 0, 0], [0.627955, 0.224863, 0.125846]]), atol=1e-5
    )


@pytest.mark.parametrize("count", [0, 1, 20, 300])
def test_colours_are_distinct_repeatable_and_not_those_in_use(count: int) -> None:
    first = distinct_colors(count)
    assert len(set(first)) == count and first == distinct_colors(count)
    assert not set(distinct_colors(count, avoid=first)) & set(first)


def test_few_colours_lie_far_apart() -> None:
    lab = oklab(np.array(distinct_colors(20), dtype=np.uint8))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(20)
    # 0.02 is about the least difference that people see between large patches.
    assert apart.min() > 0.08
