"""Loss terms that several methods share."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def dice_loss(
    logits: Float[Tensor, "n p"],
    targets: Float[Tensor, "n p"],
    smooth: float = 1.0,
    weights: Float[Tensor, "n p"] | None = None,
) -> Float[Tensor, " n"]:
    """1 - (2 overlap + smooth) / (sum of both + smooth), a row each; `targets` in 0..1.

    `weights` (0..1) says how much each point counts; None: all alike.

    Milletari et al., V-Net (3DV 2016), with MaskFormer's smoothing.
    """
    probability = logits.sigmoid()
    if weights is not None:
        probability, targets = probability * weights, targets * weights
    overlap = 2 * (probability * targets).sum(-1)
    return 1 - (overlap + smooth) / (probability.sum(-1) + targets.sum(-1) + smooth)


def squared_dice_loss(
    masks: Float[Tensor, "m k p"], truth: Float[Tensor, "m p"], area: Float[Tensor, " m"]
) -> Float[Tensor, "m k"]:
    """1 - 2 sum(P Y) / (sum(P P) + sum(Y Y)) of k masks for each of m true ones: V-Net's own, squared form.

    As products of matrices, since `masks` may be the largest tensor of the losses: no other of its size is
    made. `area` is sum(Y Y), shared by rows with the same true object.
    """
    overlap = torch.einsum("mkp,mp->mk", masks, truth)
    total = torch.einsum("mkp,mkp->mk", masks, masks) + area[:, None]
    return 1 - 2 * overlap / total.clamp(min=1e-8)


def at_least_float32(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """What half precision computed, where its range or digits would not do; double precision stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sigmoid_focal_loss(
    logits: Float[Tensor, "*n"], targets: Float[Tensor, "*n"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "*n"]:
    """-a (1 - p)^gamma ln p, where p is the probability of the right answer; one value per element.

    `targets` are 0 to 1; a is `alpha` for 1 and 1 - `alpha` for 0 (Lin et al., RetinaNet, ICCV 2017), and
    between them for targets between them.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    # of the wrong answer, 1 - p
    wrong = probability * (1 - targets) + (1 - probability) * targets
    balance = alpha * targets + (1 - alpha) * (1 - targets)
    return balance * wrong**gamma * cross_entropy


def open_cross_entropy(
    logits: Float[Tensor, "b n *p"], possible: Bool[Tensor, "b n"]
) -> Float[Tensor, "b *p"]:
    """-ln of the probability that one of the `possible` classes is right, whichever it is; one value per
    pixel.

    For pixels known only by what they are not. 0 where everything is possible, and where nothing is:
    such a pixel has no class at all, which these classes cannot express.
    """
    possible = possible | ~possible.any(1, keepdim=True)
    shape = (*possible.shape, *(1 for _ in logits.shape[2:]))
    allowed = logits.masked_fill(~possible.reshape(shape), float("-inf"))
    return logits.logsumexp(1) - allowed.logsumexp(1)


def bootstrapped_cross_entropy(
    logits: Float[Tensor, "b n h w"],
    labels: Int[Tensor, "b h w"],
    share: float,
    ignored: int = -1,
    open_pixels: Bool[Tensor, "b h w"] | None = None,
    possible: Bool[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of each image's worst pixels, averaged over images that have a label at all.

    Of an image's labelled pixels, `share` (0..1, rounded up to whole pixels) count. 0 where nothing is
    labelled. (Pohlen et al., FRRN, CVPR 2017; one share per image.) `open_pixels` are only known to
    be one of the image's `possible` classes (`open_cross_entropy`); they count where that rules out any.
    """
    pixels = F.cross_entropy(logits, labels, ignore_index=ignored, reduction="none")
    told = labels != ignored
    if open_pixels is not None and possible is not None:
        pixels = torch.where(open_pixels, open_cross_entropy(logits, possible), pixels)
        rules_out = possible.any(1) & ~possible.all(1)
        told = told | (open_pixels & rules_out[:, None, None])
    pixels = pixels.flatten(1)
    counts = told.flatten(1).sum(1).tolist()
    # no loss is negative, so the zeros of unlabelled pixels are never among the worst
    means = [row.topk(_share_of(share, n)).values.mean() for row, n in zip(pixels, counts, strict=True) if n]
    return torch.stack(means).mean() if means else pixels.sum()


def _share_of(share: float, count: int) -> int:
    """`share` of `count`, rounded up, but not for the rounding error of a product such as 0.3 * 10."""
    return min(count, max(1, math.ceil(share * count - 1e-6)))


def mean_over_processes(count: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """A normaliser, averaged over all training processes and at least 1."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count = count.clone()
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count.clamp(min=1)
