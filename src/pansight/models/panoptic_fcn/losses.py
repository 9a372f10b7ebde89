"""Position and segmentation losses (Sec. 3.4), normalised as in the released code."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.heads import Embedding
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.targets import PictureTarget
from pansight.nn.losses import at_least_float32, sigmoid_focal_loss, squared_dice_loss

INSIDE = 0.1
"""share of a cell that an object must cover for a position in it"""
EPSILON = 1e-8


class Terms(NamedTuple):
    """The four terms of the loss, weighted."""

    position_things: Float[Tensor, ""]
    position_stuff: Float[Tensor, ""]
    segment_things: Float[Tensor, ""]
    segment_stuff: Float[Tensor, ""]


def panoptic_fcn_losses(
    outputs: PanopticFCNOutputs,
    targets: list[PictureTarget],
    thing_embedding: Embedding,
    stuff_embedding: Embedding,
    config: PanopticFCNConfig,
) -> Terms:
    """Sum of both parts; every pair of an object (or class) and a level counts by itself.

    In single precision at least, as sums over whole maps are beyond half precision.
    """
    with torch.autocast(outputs.features.device.type, enabled=False):
        return _losses(_wide(outputs), targets, thing_embedding, stuff_embedding, config)


def _wide(outputs: PanopticFCNOutputs) -> PanopticFCNOutputs:
    things, stuff, kernels = (tuple(at_least_float32(level) for level in levels) for levels in outputs[:3])
    return PanopticFCNOutputs(things, stuff, kernels, at_least_float32(outputs.features))


def _losses(
    outputs: PanopticFCNOutputs,
    targets: list[PictureTarget],
    thing_embedding: Embedding,
    stuff_embedding: Embedding,
    config: PanopticFCNConfig,
) -> Terms:
    things = sum(len(level.things.rows) for target in targets for level in target.levels)
    regions = sum(len(level.stuff.classes) for target in targets for level in target.levels)
    centers = config.stuff_positions == "centers"
    heat = outputs.features.new_zeros(())
    areas = outputs.features.new_zeros(())
    for number, (thing_logits, stuff_logits) in enumerate(zip(outputs.things, outputs.stuff, strict=True)):
        heatmaps = torch.stack([target.levels[number].heatmap for target in targets])
        scores = torch.stack([target.levels[number].scores for target in targets])
        heat_terms = sigmoid_focal_loss(thing_logits, heatmaps, config.focal_alpha, config.focal_gamma)
        area_terms = sigmoid_focal_loss(stuff_logits, scores, config.focal_alpha, config.focal_gamma)
        for picture, target in enumerate(targets):
            if target.open is not None:
                ground = target.open.at((thing_logits.shape[2], thing_logits.shape[3]))
                heat_terms[picture] *= _told(heatmaps[picture], ground, target.open.things)
                area_terms[picture] *= _told(scores[picture], ground, target.open.stuff)
        heat = heat + heat_terms.sum()
        areas = areas + (area_terms.sum() if centers else area_terms.mean((2, 3)).sum())
    segments, stuff = outputs.features.new_zeros(()), outputs.features.new_zeros(())
    for picture, target in enumerate(targets):
        segments = segments + _thing_dice(outputs, picture, target, thing_embedding, config)
        stuff = stuff + _stuff_dice(outputs, picture, target, stuff_embedding, centers)
    return Terms(
        config.position_weight * heat / max(things, 1),
        config.position_weight * areas / (max(regions, 1) if centers else len(targets)),
        config.segment_weight * segments / max(things, 1),
        config.segment_weight * stuff / max(regions, 1),
    )


def _told(
    wanted: Float[Tensor, "c h w"], ground: Bool[Tensor, "h w"], absent: Bool[Tensor, " c"]
) -> Bool[Tensor, "c h w"]:
    """Where a map counts: not on unlabelled ground, but for what is there and for what certainly is not."""
    return ~ground | absent[:, None, None] | (wanted > 0)


def _thing_dice(
    outputs: PanopticFCNOutputs,
    picture: int,
    target: PictureTarget,
    embedding: Embedding,
    config: PanopticFCNConfig,
) -> Float[Tensor, ""]:
    """Eq. 7: the dice of k kernels of each object and level, weighted by their scores."""
    kernels, weights, rows = [], [], []
    for number, level in enumerate(target.levels):
        if not len(level.things.rows):
            continue
        logits, maps = outputs.things[number][picture], outputs.kernels[number][picture]
        chosen, weight = positions(logits, target, number, config)
        kernels.append(maps.flatten(1)[:, chosen].permute(1, 2, 0))
        weights.append(weight)
        rows.append(level.things.rows)
    if not rows:
        return outputs.features.sum() * 0 + sum(parameter.sum() * 0 for parameter in embedding.parameters())
    # levels may have fewer cells than k
    k = max(weight.shape[1] for weight in weights)
    kernel = torch.cat([F.pad(part, (0, 0, 0, k - part.shape[1])) for part in kernels])
    weight = torch.cat([F.pad(part, (0, k - part.shape[1])) for part in weights])
    masks = (embedding(kernel) @ outputs.features[picture].flatten(1)).sigmoid()
    truth, chosen = target.masks.to(masks.dtype).flatten(1), torch.cat(rows)
    return (weight * squared_dice_loss(masks, truth[chosen], truth.square().sum(1)[chosen])).sum()


def positions(
    logits: Float[Tensor, "t h w"], target: PictureTarget, number: int, config: PanopticFCNConfig
) -> tuple[Int[Tensor, "m k"], Float[Tensor, "m k"]]:
    """Cells of the best scores inside each object of a level, and their weights, which sum to 1 (or 0).

    Weights carry gradient: better masks raise the scores that found them.
    """
    things = target.levels[number].things
    cells = logits[0].numel()
    if not config.weighted_dice:
        center = things.centers.clamp(max=cells - 1)[:, None]
        return center, torch.ones_like(center, dtype=logits.dtype)
    masks = target.masks[things.rows][None]
    inside = F.interpolate(masks, size=logits.shape[1:], mode="bilinear", align_corners=False)[0] > INSIDE
    scores = logits[things.labels].sigmoid() * inside
    values, chosen = scores.flatten(1).topk(min(config.positions, cells), dim=1)
    return chosen, values / values.sum(1, keepdim=True).clamp(min=EPSILON)


def _stuff_dice(
    outputs: PanopticFCNOutputs, picture: int, target: PictureTarget, embedding: Embedding, centers: bool
) -> Float[Tensor, ""]:
    """The dice of the mean kernel of each class and level, or of the one at its centre."""
    kernels, classes = [], []
    for maps, level in zip(outputs.kernels, target.levels, strict=True):
        # over all cells of the level, not over the region's: as at inference
        regions = level.stuff.regions.flatten(1).to(maps.dtype)
        kernels.append(regions @ maps[picture].flatten(1).T / (1 if centers else regions.shape[1]))
        classes.append(level.stuff.classes)
    masks = (embedding(torch.cat(kernels)) @ outputs.features[picture].flatten(1)).sigmoid()
    truth, present = target.labels.to(masks.dtype).flatten(1), torch.cat(classes)
    if target.open is not None:
        ground = target.open.at((target.labels.shape[1], target.labels.shape[2])).flatten()
        told = ~ground | target.open.stuff[:, None]
        truth, masks = truth * told, masks * told[present]
    return squared_dice_loss(masks[:, None], truth[present], truth.square().sum(1)[present]).sum()
