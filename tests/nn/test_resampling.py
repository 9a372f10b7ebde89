"""Enlargement by thin matrices against torch's own interpolation."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pansight.nn.resampling import AxisWeights, band, linear_weights, resize_crop_resize_weights

LENGTHS = st.integers(1, 60)


def apply(weights: AxisWeights, line: torch.Tensor) -> torch.Tensor:
    return (line[torch.from_numpy(weights.sources)] * torch.from_numpy(weights.weights)).sum(1)


def interpolate(line: torch.Tensor, size: int) -> torch.Tensor:
    return F.interpolate(line[None, None], size=size, mode="linear", align_corners=False)[0, 0]


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.integers(0, 1000))
def test_linear_weights_are_interpolate(source: int, target: int, seed: int) -> None:
    line = torch.randn(source, generator=torch.Generator().manual_seed(seed))
    weights = linear_weights(source, target)
    assert weights.sources.min() >= 0
    assert weights.sources.max() < source
    np.testing.assert_allclose(weights.weights.sum(1), 1, rtol=1e-6)
    torch.testing.assert_close(apply(weights, line), interpolate(line, target), rtol=1e-4, atol=1e-5)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 5), st.data(), LENGTHS, st.integers(0, 1000))
def test_three_steps_in_one(source: int, ratio: int, data: st.DataObject, output: int, seed: int) -> None:
    padded = source * ratio
    valid = data.draw(st.integers(1, padded))
    line = torch.randn(source, generator=torch.Generator().manual_seed(seed))
    expected = interpolate(interpolate(line, padded)[:valid], output)
    weights = resize_crop_resize_weights(source, padded, valid, output)
    torch.testing.assert_close(apply(weights, line), expected, rtol=1e-4, atol=1e-5)


def test_without_a_second_resize_two_weights_are_enough() -> None:
    assert resize_crop_resize_weights(8, 32, 30, 30).sources.shape == (30, 2)
    assert resize_crop_resize_weights(8, 32, 30, 31).sources.shape == (31, 4)


def test_positions_of_large_maps_are_torchs() -> None:
    """Both work in float32; positions agree to the last digit, 6e-5 of a cell here."""
    line = torch.randn(1280, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        apply(linear_weights(1280, 5000), line), interpolate(line, 5000), rtol=0, atol=3e-4
    )


@settings(deadline=None)
@given(st.integers(2, 20), st.lists(st.integers(5, 40), min_size=1, max_size=3), st.integers(0, 1000))
def test_band_makes_a_stretch_of_the_output(source: int, outputs: list[int], seed: int) -> None:
    lines = torch.randn(len(outputs), source, generator=torch.Generator().manual_seed(seed))
    weights = [linear_weights(source, output) for output in outputs]
    start, stop = 3, 17
    low, high, matrix = band(weights, start, stop)
    assert matrix.shape == (len(outputs), stop - start, high - low)
    made = (matrix @ lines[:, low:high, None])[..., 0]
    for line, output, row in zip(lines, outputs, made, strict=True):
        expected = interpolate(line, output)[start:stop]
        torch.testing.assert_close(row[: len(expected)], expected, rtol=1e-4, atol=1e-5)
        # a picture that has ended gets nothing
        assert row[len(expected) :].count_nonzero() == 0
