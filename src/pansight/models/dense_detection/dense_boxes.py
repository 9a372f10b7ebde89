"""The dense box map (Eq. 14), and how well two boxes agree (Eq. 6).

Cells are those of a quarter of the input, twice P3's sides, counted row by row. Boxes are x1, y1, x2, y2 in
pixels of the input.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pansight.models.dense_detection.outputs import DENSE_STRIDE, DenseOutputs
from pansight.nn.losses import at_least_float32


def dense_size(outputs: DenseOutputs) -> tuple[int, int]:
    """Rows and columns of the dense box map."""
    height, width = outputs.semantic_logits.shape[2:]
    return 2 * height, 2 * width


def dense_boxes(outputs: DenseOutputs) -> Float[Tensor, "b p 4"]:
    """The box that each cell is part of; gradients reach the offsets.

    The level is that of the largest levelness, of equal ones the finest; the background's does not count.
    Boxes are not clipped to the image. The model must have levelness.
    """
    assert outputs.levelness is not None
    chosen = outputs.levelness[:, 1:].argmax(1)
    offsets = torch.stack(_upsampled_offsets(outputs), dim=1)
    offsets = offsets.gather(1, chosen[:, None, None].expand(-1, 1, 4, -1, -1))[:, 0]
    return _around_cells(offsets)


def boxes_of_levels(outputs: DenseOutputs) -> Float[Tensor, "l b p 4"]:
    """The boxes that all levels give each cell, for models without levelness (Sec. 5.5)."""
    return torch.stack([_around_cells(offsets) for offsets in _upsampled_offsets(outputs)])


def _upsampled_offsets(outputs: DenseOutputs) -> list[Float[Tensor, "b 4 h4 w4"]]:
    size = dense_size(outputs)
    return [
        F.interpolate(at_least_float32(o), size=size, mode="bilinear", align_corners=False)
        for o in outputs.offsets
    ]


def _around_cells(offsets: Float[Tensor, "b 4 h4 w4"]) -> Float[Tensor, "b p 4"]:
    height, width = offsets.shape[2:]
    left, top, right, bottom = offsets.flatten(2).unbind(1)
    y = torch.arange(height, device=left.device) * DENSE_STRIDE + DENSE_STRIDE // 2
    x = torch.arange(width, device=left.device) * DENSE_STRIDE + DENSE_STRIDE // 2
    y, x = y.repeat_interleave(width), x.repeat(height)
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=2)


def pair_iou(first: Float[Tensor, "*n 4"], second: Float[Tensor, "*m 4"]) -> Float[Tensor, "*p"]:
    """IoU of boxes; all axes but the last broadcast."""
    inner, first_area, second_area = _areas(first, second)
    return inner / (first_area + second_area - inner).clamp(min=1e-7)


def pair_giou(first: Float[Tensor, "*n 4"], second: Float[Tensor, "*m 4"]) -> Float[Tensor, "*p"]:
    """GIoU with FCOS's smoothing by one pixel of area, -1..1; all axes but the last broadcast."""
    inner, first_area, second_area = _areas(first, second)
    union = first_area + second_area - inner
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).prod(-1) + 1e-7
    return (inner + 1) / (union + 1) - (hull - union) / hull


PAIRS = {"iou": pair_iou, "giou": pair_giou}
"""by `location_probability`"""


def _areas(
    first: Float[Tensor, "*n 4"], second: Float[Tensor, "*m 4"]
) -> tuple[Float[Tensor, "*p"], Float[Tensor, "*n"], Float[Tensor, "*m"]]:
    x1, y1, x2, y2 = first.unbind(-1)
    u1, v1, u2, v2 = second.unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp(min=0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp(min=0)
    return width * height, (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
