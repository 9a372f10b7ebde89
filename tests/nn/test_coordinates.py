"""Coordinate channels."""

import pytest
import torch

from pansight.nn.coordinates import coordinate_channels


@pytest.mark.parametrize(("height", "width"), [(3, 5), (2, 2), (16, 24)])
def test_x_then_y_with_both_ends(height: int, width: int) -> None:
    channels = coordinate_channels(torch.zeros(2, 7, height, width, dtype=torch.float64))
    assert channels.shape == (2, 2, height, width)
    assert channels.dtype == torch.float64
    for row in range(height):
        for column in range(width):
            x, y = -1 + 2 * column / (width - 1), -1 + 2 * row / (height - 1)
            assert channels[1, :, row, column].tolist() == pytest.approx([x, y], abs=1e-12)


def test_one_pixel_lies_at_the_start() -> None:
    assert coordinate_channels(torch.zeros(1, 1, 1, 1)).flatten().tolist() == [-1.0, -1.0]
