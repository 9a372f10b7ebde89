"""The losses (Sec. 4.2, Eq. 11-19), weighted, for a batch."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.outputs import DenseOutputs
from pansight.models.dense_detection.targets import (
    Cells,
    CellTarget,
    Things,
    cell_target,
    centerness_of,
    dense_cells,
    find_things,
    level_cells,
    levels_of,
    open_cells,
    owners_by_box,
    owners_by_mask,
    semantics_of,
)
from pansight.nn.losses import (
    at_least_float32,
    bootstrapped_cross_entropy,
    mean_over_processes,
    sigmoid_focal_loss,
)


class DenseTruth(NamedTuple):
    """The targets of a batch. Under weak supervision no instance mask went into it, only boxes."""

    things: list[Things]
    """of each image"""
    levels: list[CellTarget]
    """of each image: the cells of P3..P7, laid end to end"""
    dense: list[CellTarget] | None
    """of each image: the cells from which masks are made; None where nothing asks for them"""
    semantics: Int[Tensor, "b h2 w2"]
    unknown: Bool[Tensor, "b h2 w2"] | None = None
    """pixels that nothing labels; None where everything is labelled"""
    impossible: Bool[Tensor, "b n"] | None = None
    """of each image and category, whether unlabelled pixels are certainly none of it"""


@torch.no_grad()
def truth_of(
    targets: list[Target], outputs: DenseOutputs, channels: Int[Tensor, " n"], config: DenseDetectionConfig
) -> DenseTruth:
    """The targets of all losses, at the sizes of the outputs' maps.

    `channels` gives each category's thing channel, -1 for stuff.
    """
    device = outputs.semantic_logits.device
    sizes = [(m.shape[2], m.shape[3]) for m in outputs.class_logits]
    level_grid = level_cells(sizes, config.level_bounds, device)
    dense_grid = dense_cells((2 * sizes[0][0], 2 * sizes[0][1]), device)
    boxed = [find_things(target, channels) for target in targets]

    def assigned(cells: Cells) -> list[CellTarget]:
        if config.supervision == "boxes":
            owners = [owners_by_box(truth, cells) for truth in boxed]
        else:
            owners = [owners_by_mask(target, channels, cells) for target in targets]
        found = [cell_target(o, truth.things, cells) for o, truth in zip(owners, boxed, strict=True)]
        return [
            one._replace(open=open_cells(target, one.owners, channels, cells))
            for one, target in zip(found, targets, strict=True)
        ]

    return DenseTruth(
        [truth.things for truth in boxed],
        assigned(level_grid),
        assigned(dense_grid) if config.levelness else None,
        torch.stack([semantics_of(target, config.semantic_stride) for target in targets]),
        *_unlabelled(targets, len(channels), config.semantic_stride),
    )


def _unlabelled(
    targets: list[Target], categories: int, stride: int
) -> tuple[Bool[Tensor, "b h2 w2"] | None, Bool[Tensor, "b n"] | None]:
    """Pixels of the semantic grid that nothing labels, and what they are certainly not."""
    if not any(target.partial for target in targets):
        return None, None
    start = stride // 2
    ground = [
        target.unknown() if target.partial else torch.zeros_like(target.unknown()) for target in targets
    ]
    impossible = torch.stack([target.impossible(categories) for target in targets])
    return torch.stack(ground)[:, start::stride, start::stride], impossible


def end_to_end(levels: tuple[Float[Tensor, "b c _ _"], ...]) -> Float[Tensor, "b p c"]:
    """Cells of all levels in one row, each level row by row."""
    return torch.cat([at_least_float32(level).flatten(2) for level in levels], dim=2).transpose(1, 2)


def box_losses(
    predicted: Float[Tensor, "f 4"], wanted: Float[Tensor, "f 4"], kind: str
) -> Float[Tensor, " f"]:
    """How far boxes of the same cell are from each other, given as offsets in pixels (Eq. 11).

    `iou`: -ln IoU; `giou`: 1 - GIoU. Both are smoothed by one pixel of area as in FCOS.
    """
    left, top, right, bottom = torch.minimum(predicted, wanted).unbind(1)
    inner = (left + right) * (top + bottom)
    union = area_of(predicted) + area_of(wanted) - inner
    overlap = (inner + 1) / (union + 1)
    if kind == "iou":
        return -overlap.log()
    hull = area_of(torch.maximum(predicted, wanted)) + 1e-7
    return 1 - (overlap - (hull - union) / hull)


def area_of(offsets: Float[Tensor, "f 4"]) -> Float[Tensor, " f"]:
    """Area of boxes given as offsets."""
    left, top, right, bottom = offsets.unbind(1)
    return (left + right) * (top + bottom)


def detection_losses(
    outputs: DenseOutputs,
    truths: list[CellTarget],
    config: DenseDetectionConfig,
    impossible: Bool[Tensor, "b t"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """`box` (Eq. 11) and `centerness` (Eq. 12) over foreground cells, `class` (focal) over all of P3..P7.

    The first two are divided by the number of foreground cells, where a pixel on two levels counts twice;
    `class` by that or by the number of valid cells. Numbers are of the whole batch, at least 1. On unlabelled
    ground only the things that are `impossible` there count as absent.
    """
    logits = end_to_end(outputs.class_logits)
    foreground = torch.stack([truth.foreground for truth in truths])
    valid = torch.stack([truth.valid for truth in truths])
    count = mean_over_processes(foreground.sum().float())
    # all cells at once, background with boxes of one pixel and the weight 0: choosing rows would wait for the
    # device to say how many there are
    rows = foreground.flatten()
    wanted = _where(rows, torch.stack([truth.offsets for truth in truths]))
    boxes = box_losses(_where(rows, end_to_end(outputs.offsets)), wanted, config.box_loss)
    centerness = F.binary_cross_entropy_with_logits(
        end_to_end(outputs.centerness).flatten(), centerness_of(wanted), weight=rows.float(), reduction="sum"
    )
    labels = torch.stack([truth.labels for truth in truths])
    one_hot = (labels[..., None] == torch.arange(logits.shape[2], device=labels.device)).float()
    focal = sigmoid_focal_loss(logits, one_hot, config.focal_alpha, config.focal_gamma)
    counted = valid[..., None].expand_as(focal)
    if impossible is not None:
        ground = torch.stack([_open(truth) for truth in truths])
        counted = counted & (~ground[..., None] | impossible[:, None])
    normalizer = count
    if config.class_normalizer == "locations":
        normalizer = mean_over_processes(valid.sum().float())
    return {
        "box": (boxes * rows).sum() / count,
        "centerness": centerness / count,
        "class": (focal * counted).sum() / normalizer,
    }


def _where(rows: Bool[Tensor, " f"], offsets: Float[Tensor, "b p 4"]) -> Float[Tensor, "f 4"]:
    """Offsets of the cells that count, and one pixel for the others."""
    return torch.where(rows[:, None], offsets.flatten(0, 1), 1.0)


def _open(truth: CellTarget) -> Bool[Tensor, " p"]:
    return torch.zeros_like(truth.valid) if truth.open is None else truth.open


def levelness_loss(
    logits: Float[Tensor, "b l h w"], truths: list[CellTarget], bounds: tuple[float, ...]
) -> Float[Tensor, ""]:
    """Cross-entropy of background and the five levels, mean over the batch's valid cells (Eq. 13)."""
    labels = torch.stack([level_labels(truth, bounds) for truth in truths])
    total = F.cross_entropy(at_least_float32(logits).flatten(2), labels, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def level_labels(truth: CellTarget, bounds: tuple[float, ...]) -> Int[Tensor, " p"]:
    """0: background, 1 to 5: level of the owner's box, -1: ignored, as unlabelled ground is."""
    labels = torch.where(truth.foreground, levels_of(truth.offsets, bounds), 0)
    return labels.masked_fill(~truth.valid | _open(truth), -1)


def semantic_loss(
    logits: Float[Tensor, "b n h8 w8"],
    labels: Int[Tensor, "b h2 w2"],
    stride: int,
    share: float,
    unknown: Bool[Tensor, "b h2 w2"] | None = None,
    impossible: Bool[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy over the worst pixels (Eq. 15), logits upsampled to one value every `stride` pixels.

    Pixels of `unknown` ground must only be none of the categories that are `impossible` there.
    """
    factor = 8 // stride
    size = (logits.shape[2] * factor, logits.shape[3] * factor)
    upsampled = F.interpolate(at_least_float32(logits), size=size, mode="bilinear", align_corners=False)
    # maps of ceil(side / 8) cells can reach beyond the image
    height, width = labels.shape[1:]
    possible = None if impossible is None else ~impossible
    ground = None if unknown is None else unknown & (labels < 0)
    return bootstrapped_cross_entropy(
        upsampled[:, :, :height, :width], labels, share, open_pixels=ground, possible=possible
    )
