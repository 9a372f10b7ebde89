"""YOSO's eight losses (Sec. 3.4): classes, and binary cross-entropy and dice at points, at every stage."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.yoso.config import YOSOConfig
from pansight.models.yoso.head import StagePrediction
from pansight.models.yoso.matching import Pairs, Unknown, match
from pansight.nn.losses import dice_loss, mean_over_processes
from pansight.nn.points import sample_points, uncertain_points


class YOSOTruth(NamedTuple):
    """One image's segments without its crowd regions, which YOSO treats as background."""

    categories: Int[Tensor, " m"]
    masks: Float[Tensor, "m h w"]
    unknown: Unknown | None = None
    """None where everything is labelled"""


def truth_of(target: Target, is_thing: Bool[Tensor, " c"] | None = None) -> YOSOTruth:
    """Drop crowd segments; masks become floats for bilinear sampling.

    `is_thing` is of each category; only images with unlabelled ground need it.
    """
    plain = ~target.crowd
    categories = target.categories[plain]
    masks = target.masks[plain].float()
    if not target.partial or is_thing is None:
        return YOSOTruth(categories, masks)
    impossible = target.impossible(len(is_thing))
    # an object is either labelled whole or not labelled; stuff of the same kind may go on where nobody
    # labelled
    bounded = is_thing | impossible
    return YOSOTruth(categories, masks, Unknown(target.unknown().float(), impossible, bounded[categories]))


def segment_weight(truth: YOSOTruth, balance: float) -> float:
    """What each segment of an image counts."""
    return float(max(len(truth.categories), 1) ** -balance)


def segment_count(truths: list[YOSOTruth], balance: float = 0.0) -> Float[Tensor, ""]:
    """Segments per process, averaged over all processes, at least 1: the normaliser of the mask losses."""
    total = sum(len(t.categories) * segment_weight(t, balance) for t in truths)
    return mean_over_processes(torch.tensor(float(total), device=truths[0].masks.device))


def class_loss(
    class_logits: Float[Tensor, "b n k"],
    truths: list[YOSOTruth],
    pairs: list[Pairs],
    class_weights: Float[Tensor, " k"],
    mask_logits: Float[Tensor, "b n h w"],
    balance: float = 0.0,
) -> Float[Tensor, ""]:
    """Weighted cross-entropy over all proposals; those without a segment should say "no object".

    Of those whose mask lies mostly on unlabelled ground it is only asked that they name no category that is
    certainly not there: they may say "no object" or any other, whatever the shares.
    """
    batch, proposals, classes = class_logits.shape
    labels = class_logits.new_full((batch, proposals), classes - 1, dtype=torch.int64)
    for row, truth, (queries, segments) in zip(labels, truths, pairs, strict=True):
        row[queries] = truth.categories[segments]
    if not balance and all(truth.unknown is None for truth in truths):
        return F.cross_entropy(class_logits.float().flatten(0, 1), labels.flatten(), class_weights)
    log_probability = class_logits.float().log_softmax(-1)
    terms = -log_probability.gather(2, labels[..., None])[..., 0]
    for picture, truth in enumerate(truths):
        if truth.unknown is None:
            continue
        excused = on_ground(mask_logits[picture], truth.unknown.ground) & (labels[picture] == classes - 1)
        possible = torch.cat((~truth.unknown.impossible, truth.unknown.impossible.new_ones(1)))
        open_terms = -log_probability[picture][:, possible].logsumexp(-1)
        terms[picture] = torch.where(excused, open_terms, terms[picture])
    weights = class_weights[labels]
    for picture, (truth, (queries, _)) in enumerate(zip(truths, pairs, strict=True)):
        weights[picture, queries] *= segment_weight(truth, balance)
    return (terms * weights).sum() / weights.sum()


def on_ground(
    mask_logits: Float[Tensor, "n h w"], ground: Float[Tensor, "hp wp"], share: float = 0.5
) -> Bool[Tensor, " n"]:
    """Whether more than `share` of each mask (logits above 0) is unlabelled ground; not for empty masks."""
    small = F.interpolate(ground[None, None], size=mask_logits.shape[1:], mode="area")[0, 0]
    hard = (mask_logits.detach() > 0).flatten(1).to(small.dtype)
    return (hard @ small.flatten()) > share * hard.sum(1)


def sample_truth(
    truths: list[YOSOTruth], pairs: list[Pairs], points: Float[Tensor, "n p 2"]
) -> Float[Tensor, "n p"]:
    """The truth of each pair at its own points; rows of `points` follow the pairs, image by image.

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
    truths: list[YOSOTruth],
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
        weights = point_weights(truths, pairs, points)
        shares = torch.cat(
            [
                logits.new_full((len(queries),), segment_weight(truth, config.balance))
                for truth, (queries, _) in zip(truths, pairs, strict=True)
            ]
        )
    cross_entropy = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none")
    if weights is None:
        means, dice = cross_entropy.mean(1), dice_loss(predicted, wanted)
    else:
        means = (cross_entropy * weights).sum(1) / weights.sum(1).clamp(min=1)
        dice = dice_loss(predicted, wanted, weights=weights)
    return (means * shares).sum() / count, (dice * shares).sum() / count


def point_weights(
    truths: list[YOSOTruth], pairs: list[Pairs], points: Float[Tensor, "n p 2"]
) -> Float[Tensor, "n p"] | None:
    """How much each pair's points count: none on unlabelled ground unless its segment ends there."""
    if all(truth.unknown is None for truth in truths):
        return None
    weights = []
    start = 0
    for truth, (_, segments) in zip(truths, pairs, strict=True):
        own = points[start : start + len(segments)]
        start += len(segments)
        if truth.unknown is None:
            weights.append(own.new_ones(own.shape[:2]))
            continue
        # one map for all points of an image
        read = sample_points(truth.unknown.ground[None], own.reshape(1, -1, 2)).reshape(own.shape[:2])
        bounded = truth.unknown._replace(bounded=truth.unknown.bounded[segments])
        weights.append(bounded.weights(read))
    return torch.cat(weights)


def yoso_losses(
    stages: list[StagePrediction],
    targets: list[Target],
    class_weights: Float[Tensor, " k"],
    config: YOSOConfig,
    is_thing: Bool[Tensor, " c"] | None = None,
) -> tuple[dict[str, Float[Tensor, ""]], list[list[Pairs]]]:
    """All terms, already weighted, and the pairs of every stage and image.

    Each stage is matched by itself. Random numbers are drawn stage by stage: one set of points per image
    for matching, then the candidates and the uniform points of the losses.
    """
    truths = [truth_of(target, is_thing) for target in targets]
    count = segment_count(truths, config.balance)
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
                truth.unknown,
            )
            for picture, truth in enumerate(truths)
        ]
        matched.append(pairs)
        if class_logits is not None:
            ce = class_loss(class_logits, truths, pairs, class_weights, mask_logits, config.balance)
            losses[f"s{index}_loss_ce"] = config.class_weight * ce
        cross_entropy, dice = mask_losses(mask_logits, truths, pairs, count, config)
        losses[f"s{index}_loss_mask"] = config.mask_weight * cross_entropy
        losses[f"s{index}_loss_dice"] = config.dice_weight * dice
    return losses, matched
