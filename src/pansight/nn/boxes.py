"""Boxes of masks."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def boxes_of(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """x1, y1, x2, y2 around each mask's pixels, x2 and y2 one beyond the last; empty masks: all zeros."""
    ends = []
    for axis in (1, 2):
        there = masks.any(axis)
        line = there.to(torch.uint8)  # bool has no argmax
        first = line.argmax(1)
        last = line.shape[1] - line.flip(1).argmax(1)
        ends.append((first, torch.where(there.any(1), last, 0)))
    (x1, x2), (y1, y2) = ends
    return torch.stack((x1, y1, x2, y2), dim=1).float()
