"""YOSO's eight losses (Sec. 3.4): classes, and binary cross-entropy and dice at points, at every stage."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.yoso.config import YOSOConfig
from pansight.models.yoso.head import StagePrediction
from pansight.models.yoso.matching import Pairs, match
from pansight.nn.losses import dice_loss, mean_over_processes
from pansight.nn.points import sample_points, uncertain_points


class Truth(NamedTuple):
    """One picture's segments without its crowd regions, which YOSO treats as background."""

    categories: Int[Tensor, " m"]
    masks: Float[Tensor, "m h w"]


def truth_of(target: Target) -> Truth:
    """Drop crowd segments; masks become floats for bilinear reading."""
    plain = ~target.crowd
    return Truth(target.categories[plain], target.masks[plain].float())


def segment_count(truths: list[Truth]) -> Float[Tensor, ""]:
    """Segments a process, averaged over all processes, at least 1: the normaliser of the mask losses."""
    count = torch.tensor(float(sum(len(t.categories) for t in truths)), device=truths[0].masks.device)
    return mean_over_processes(count)


def class_loss(
    class_logits: Float[Tensor, "b n k"],
    truths: list[Truth],
    pairs: list[Pairs],
    class_weights: Float[Tensor, " k"],
) -> Float[Tensor, ""]:
    """Weighted cross-entropy over all proposals; those without a segment should say "no object"."""
    batch, proposals, classes = class_logits.shape
    labels = class_logits.new_full((batch, proposals), classes - 1, dtype=torch.int64)
    for row, truth, (queries, segments) in zip(labels, truths, pairs, strict=True):
        row[queries] = truth.categories[segments]
    return F.cross_entropy(class_logits.float().flatten(0, 1), labels.flatten(), class_weights)


def sample_truth(
    truths: list[Truth], pairs: list[Pairs], points: Float[Tensor, "n p 2"]
) -> Float[Tensor, "n p"]:
    """The truth of each pair at its own points; rows of `points` follow the pairs, picture by picture.

    Where every segment has a proposal, points are put into the masks' order rather than full-size masks
    into the pairs' order.
    """
    values = []
    start = 0
    for truth, (_, segments) in zip(truths, pairs, strict=True):
        own = points[start : start + len(segments)]
        start += len(segments)
        if len(segments) == len(truth.masks):
            values.append(sample_points(truth.masks, own[segments.argsort()])[segments])
        else:
            values.append(sample_points(truth.masks[segments], own))
    return torch.cat(values)


def mask_losses(
    mask_logits: Float[Tensor, "b n h w"],
    truths: list[Truth],
    pairs: list[Pairs],
    count: Float[Tensor, ""],
    config: YOSOConfig,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy and dice of the matched masks, at points chosen for each."""
    logits = torch.cat([masks[queries] for masks, (queries, _) in zip(mask_logits, pairs, strict=True)])
    points = uncertain_points(logits, config.points, config.oversample, config.importance)
    if len(logits) == 0:
        nothing = logits.sum()  # zero that keeps the graph, so that every process has gradients
        return nothing, nothing
    predicted = sample_points(logits, points).float()
    with torch.no_grad():
        wanted = sample_truth(truths, pairs, points)
    cross_entropy = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none").mean(1).sum()
    return cross_entropy / count, dice_loss(predicted, wanted).sum() / count


def yoso_losses(
    stages: list[StagePrediction],
    targets: list[Target],
    class_weights: Float[Tensor, " k"],
    config: YOSOConfig,
) -> tuple[dict[str, Float[Tensor, ""]], list[list[Pairs]]]:
    """All terms, already weighted, and the pairs of every stage and picture.

    Each stage is matched by itself. Random numbers are drawn stage by stage: one set of points a picture
    for matching, then the candidates and the uniform points of the losses.
    """
    truths = [truth_of(target) for target in targets]
    count = segment_count(truths)
    losses: dict[str, Tensor] = {}
    matched = []
    for index, (class_logits, mask_logits) in enumerate(stages):
        pairs = [
            match(
                None if class_logits is None else class_logits[picture],
                mask_logits[picture],
                truth.categories,
                truth.masks,
                config,
            )
            for picture, truth in enumerate(truths)
        ]
        matched.append(pairs)
        if class_logits is not None:
            ce = class_loss(class_logits, truths, pairs, class_weights)
            losses[f"s{index}_loss_ce"] = config.class_weight * ce
        cross_entropy, dice = mask_losses(mask_logits, truths, pairs, count, config)
        losses[f"s{index}_loss_mask"] = config.mask_weight * cross_entropy
        losses[f"s{index}_loss_dice"] = config.dice_weight * dice
    return losses, matched
