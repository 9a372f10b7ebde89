"""Anchors, and boxes coded relative to them, as in SSD (Liu et al., ECCV 2016)."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from pansight.models.epsnet.config import EPSNetConfig, Scales

ASPECTS = (1.0, 0.5, 2.0)
"""width over height"""
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2

Boxes = Float[Tensor, "*n 4"]


def make_anchors(
    levels: list[tuple[int, int]], config: EPSNetConfig, device: torch.device
) -> Float[Tensor, "a 4"]:
    """Centre x, y, width, height as shares of the input's sides, for levels of these heights and widths.

    Cells row by row, three aspects a cell. As everything is a share, anchors grow with the input. Calls with
    equal arguments share one tensor: it is not to be written to.
    """
    arguments = (tuple(levels), config.anchor_scales, config.anchor_input, config.square_anchors)
    # a graph makes its own, from sides that may be symbols
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return _make(*arguments).to(device)
    return _remembered(*arguments, device)


@lru_cache(maxsize=16)
def _remembered(
    levels: tuple[tuple[int, int], ...], scales: Scales, side: int, square: bool, device: torch.device
) -> Float[Tensor, "a 4"]:
    # what is made in inference mode could not be used by a training that comes later
    with torch.inference_mode(False):
        return _make(levels, scales, side, square).to(device)


def _make(
    levels: tuple[tuple[int, int], ...], scales: Scales, side: int, square: bool
) -> Float[Tensor, "a 4"]:
    parts = []
    for (height, width), scale in zip(levels, scales, strict=True):
        sides = [math.sqrt(aspect) for aspect in ASPECTS]
        across = torch.tensor([scale * one / side for one in sides])
        along = across if square else torch.tensor([scale / one / side for one in sides])
        # exact in single precision: one division of numbers that it holds
        y = (torch.arange(height, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
        shape = (height, width, len(ASPECTS))
        columns = (x[:, None], y[:, None, None], across, along)
        parts.append(torch.stack([column.expand(shape) for column in columns], dim=-1).reshape(-1, 4))
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
