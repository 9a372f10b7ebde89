"""Non-maximum suppression of a batch, exact, without a loop over boxes or classes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pansight.nn.fixed_point import bounded_fixed_point, fixed_point

# Rows of the pairwise matrix worked on at a time: bounds the memory of its intermediate results.
ROWS = 1024

Boxes = Float[Tensor, "b n 4"]


def pairwise_iou(first: Float[Tensor, "b m 4"], second: Boxes) -> Float[Tensor, "b m n"]:
    """Intersection over union of boxes (x1, y1, x2, y2), areas without "+ 1"; NaN for two empty ones."""
    first, second = first[:, :, None], second[:, None]
    high = torch.minimum(first[..., 2:], second[..., 2:])
    low = torch.maximum(first[..., :2], second[..., :2])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (_areas(first) + _areas(second) - shared)


def _areas(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlaps_more(boxes: Boxes, threshold: float) -> Bool[Tensor, "b n n"]:
    """Whether box j (columns) overlaps an earlier box i (rows) by an IoU above `threshold` (strictly).

    Pairs without area (IoU 0/0) do not.
    """
    parts = boxes.split(ROWS, dim=1) if boxes.shape[1] > ROWS else (boxes,)
    rows = [pairwise_iou(part, boxes) > threshold for part in parts]
    over = torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]
    ranks = torch.arange(boxes.shape[1], device=boxes.device)
    return over & (ranks[:, None] < ranks)


def suppress(suppresses: Bool[Tensor, "b n n"], valid: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Greedy suppression in rank order: j stays if it is valid and no i before it that stays suppresses it.

    `suppresses[i, j]` may be true for i < j only. The host looks at every round.
    """

    def step(kept: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        return valid & ~(suppresses & kept[:, :, None]).any(1)

    return fixed_point(step, valid)


def bounded_suppress(
    suppresses: Bool[Tensor, "b n n"], valid: Bool[Tensor, "b n"]
) -> tuple[Bool[Tensor, "b n"], Bool[Tensor, " b"]]:
    """The same after a fixed number of rounds, and of each image whether they were too few."""
    matrix = suppresses.transpose(1, 2).to(torch.float32)

    def step(kept: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        suppressed = (matrix @ kept.to(matrix.dtype)[..., None])[..., 0] > 0
        return valid & ~suppressed

    return bounded_fixed_point(step, valid)
