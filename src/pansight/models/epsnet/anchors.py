"""Anchors, and boxes coded relative to them, as in SSD (Liu et al., ECCV 2016)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pansight.models.epsnet.config import EPSNetConfig

ASPECTS = (1.0, 0.5, 2.0)
"""width over height"""
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2

Boxes = Float[Tensor, "*n 4"]


def make_anchors(
    levels: list[tuple[int, int]], config: EPSNetConfig, device: torch.device
) -> Float[Tensor, "a 4"]:
    """Centre x, y, width, height as shares of the input's sides, for levels of these heights and widths.

    Cells row by row, three aspects a cell. As everything is a share, anchors grow with the input. Single
    precision throughout: quotients of small whole numbers are rounded once, as to a double and then to a
    float. Sides may be symbols of a graph.
    """
    parts = []
    for (height, width), scale in zip(levels, config.anchor_scales, strict=True):
        roots = [math.sqrt(aspect) for aspect in ASPECTS]
        across = [scale * root / config.anchor_input for root in roots]
        along = across if config.square_anchors else [scale / root / config.anchor_input for root in roots]
        sides = torch.tensor([across, along], device=device).T
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        shape = (height, width, len(ASPECTS))
        centres = torch.stack((x[:, None].expand(shape), y[:, None, None].expand(shape)), dim=3)
        grid = torch.cat((centres, sides.expand(*shape, 2)), dim=3)
        parts.append(grid.reshape(-1, 4))
    return torch.cat(parts)


def decode(offsets: Boxes, anchors: Float[Tensor, "*m 4"]) -> Boxes:
    """Corners x1, y1, x2, y2 as shares of the input's sides, not clipped."""
    center = anchors[..., :2] + CENTER_VARIANCE * offsets[..., :2] * anchors[..., 2:]
    size = anchors[..., 2:] * (SIZE_VARIANCE * offsets[..., 2:]).exp()
    low = center - size / 2
    return torch.cat((low, low + size), dim=-1)


def encode(boxes: Boxes, anchors: Boxes) -> Boxes:
    """What `decode` makes those corners of; one box an anchor."""
    center = (boxes[..., :2] + boxes[..., 2:]) / 2 - anchors[..., :2]
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat(
        (
            center / (CENTER_VARIANCE * anchors[..., 2:]),
            (size / anchors[..., 2:]).log() / SIZE_VARIANCE,
        ),
        dim=-1,
    )


def corners(anchors: Boxes) -> Boxes:
    """x1, y1, x2, y2 of boxes given by centre and size."""
    half = anchors[..., 2:] / 2
    return torch.cat((anchors[..., :2] - half, anchors[..., :2] + half), dim=-1)
