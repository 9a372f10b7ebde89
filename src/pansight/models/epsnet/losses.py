"""Class, box, mask and semantic losses (Sec. 3.5), normalised as in the released code."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pansight.models.epsnet.anchors import encode
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.merge import assemble_masks
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.models.epsnet.targets import UNLABELLED, EPSNetTruth, Matching, Open, match
from pansight.nn.losses import open_cross_entropy


class Terms(NamedTuple):
    """The four terms of the loss, weighted."""

    box: Float[Tensor, ""]
    classes: Float[Tensor, ""]
    mask: Float[Tensor, ""]
    semantic: Float[Tensor, ""]


def epsnet_losses(outputs: EPSNetOutputs, truths: list[EPSNetTruth], config: EPSNetConfig) -> Terms:
    """In float32. Detection terms are divided by the positive anchors of the whole batch, at least 1."""
    with torch.autocast(outputs.boxes.device.type, enabled=False):
        return _terms(EPSNetOutputs(*(part.float() for part in outputs)), truths, config)


def _terms(outputs: EPSNetOutputs, truths: list[EPSNetTruth], config: EPSNetConfig) -> Terms:
    matchings = [match(truth, outputs.anchors, config) for truth in truths]
    positives = max(1, sum(int((matching.labels > 0).sum()) for matching in matchings))
    terms: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for picture, (truth, matching) in enumerate(zip(truths, matchings, strict=True)):
        terms.append(
            (
                _box_loss(outputs, picture, truth, matching),
                _class_loss(outputs, picture, matching, config, truth.open),
                _mask_loss(outputs, picture, truth, matching, config),
                _semantic_loss(outputs, picture, truth),
            )
        )
    box, classes, mask, semantic = (torch.stack(parts).sum() for parts in zip(*terms, strict=True))
    return Terms(
        config.box_weight * box / positives,
        config.class_weight * classes / positives,
        config.mask_weight * mask / positives,
        config.semantic_weight * semantic / len(truths),
    )


def _box_loss(
    outputs: EPSNetOutputs, picture: int, truth: EPSNetTruth, matching: Matching
) -> Float[Tensor, ""]:
    positive = matching.labels > 0
    if not len(truth.boxes):
        return outputs.boxes[picture].sum() * 0
    wanted = encode(truth.boxes[matching.objects[positive]], outputs.anchors[positive])
    return F.smooth_l1_loss(outputs.boxes[picture][positive], wanted, reduction="sum")


def _class_loss(
    outputs: EPSNetOutputs,
    picture: int,
    matching: Matching,
    config: EPSNetConfig,
    unknown: Open | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of positives and of the hardest negatives.

    Negatives mostly on unlabelled ground may be background or any thing that is not certainly absent.
    """
    logits = outputs.class_logits[picture]
    if matching.open is None or unknown is None:
        counted = (matching.labels > 0) | hard_negatives(logits, matching, config)
        return F.cross_entropy(logits[counted], matching.labels[counted], reduction="sum")
    possible = torch.cat((unknown.things.new_ones(1), ~unknown.things))
    excused = open_cross_entropy(logits, possible.expand(len(logits), -1))
    negatives = hard_negatives(logits, matching, config, torch.where(matching.open, excused, torch.inf))
    counted = (matching.labels > 0) | negatives
    terms = F.cross_entropy(logits, matching.labels.clamp(min=0), reduction="none")
    return torch.where(matching.open, excused, terms)[counted].sum()


@torch.no_grad()
def hard_negatives(
    logits: Float[Tensor, "a t1"],
    matching: Matching,
    config: EPSNetConfig,
    most: Float[Tensor, " a"] | None = None,
) -> Bool[Tensor, " a"]:
    """`negatives` background anchors per positive: those least sure that they are background.

    `most` bounds the doubt of each.
    """
    negative = matching.labels == 0
    wanted = min(config.negatives * int((matching.labels > 0).sum()), len(logits) - 1)
    # no difference is below 0, so what is not a negative comes last, and is taken out again
    doubt = torch.where(negative, logits.logsumexp(1) - logits[:, 0], 0.0)
    if most is not None:
        doubt = torch.minimum(doubt, most)
    chosen = torch.zeros_like(negative)
    chosen[doubt.argsort(descending=True, stable=True)[:wanted]] = True
    return chosen & negative


def _mask_loss(
    outputs: EPSNetOutputs, picture: int, truth: EPSNetTruth, matching: Matching, config: EPSNetConfig
) -> Float[Tensor, ""]:
    """Cross-entropy of pixels in the true box, by the box's area; at most `masks_to_train` anchors."""
    positive = (matching.labels > 0).nonzero()[:, 0]
    count = len(positive)
    if not count:
        return (outputs.prototypes[picture].sum() + outputs.coefficients[picture].sum()) * 0
    if count > config.masks_to_train:
        positive = positive[torch.randperm(count, device=positive.device)[: config.masks_to_train]]
    objects = matching.objects[positive]
    boxes = truth.boxes[objects]
    prototypes = outputs.prototypes[picture][None]
    masks = assemble_masks(prototypes, outputs.coefficients[picture][positive][None], boxes[None])[0]
    size = masks.shape[1:]
    # only those that some anchor is to find
    needed, place = objects.unique(return_inverse=True)
    shrunk = F.interpolate(truth.masks[needed][None].float(), size=size, mode="bilinear", align_corners=False)
    wanted = (shrunk[0] > 0.5).to(masks.dtype)[place]
    # torch bounds the logarithm at -100: that is what a pixel of the object beyond its box costs
    entropy = F.binary_cross_entropy(masks, wanted, reduction="none").sum((1, 2))
    areas = (boxes[:, 2] - boxes[:, 0]) * size[1] * (boxes[:, 3] - boxes[:, 1]) * size[0]
    return (entropy / areas).sum() * (count / len(positive))


def _semantic_loss(outputs: EPSNetOutputs, picture: int, truth: EPSNetTruth) -> Float[Tensor, ""]:
    """Cross-entropy by pixel of the image, labelled or not; the unlabelled add nothing."""
    logits = outputs.semantic_logits[picture][None]
    size = truth.semantics.shape
    logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    entropy = F.cross_entropy(logits, truth.semantics[None], ignore_index=UNLABELLED, reduction="sum")
    if truth.open is not None:
        ground = truth.open.ground & (truth.semantics == UNLABELLED)
        entropy = entropy + open_cross_entropy(logits, ~truth.open.semantics[None])[0][ground].sum()
    return entropy / truth.semantics.numel()
