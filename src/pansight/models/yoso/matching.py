"""Which proposal answers for which segment (YOSO, Sec. 3.4; the matcher of Mask2Former)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.errors import PansightError
from pansight.models.yoso.config import YOSOConfig
from pansight.nn.points import sample_shared_points

Pairs = tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
"""proposals (ascending) and their segments; unnamed axes, because lists hold pairs of many lengths"""


class Unknown(NamedTuple):
    """What an image's unlabelled ground leaves open."""

    ground: Float[Tensor, "h w"]
    """1 where nothing is labelled"""
    impossible: Bool[Tensor, " c"]
    """categories that are certainly not there"""
    bounded: Bool[Tensor, " m"]
    """segments that certainly end where the ground begins"""

    def weights(self, ground: Float[Tensor, "m p"]) -> Float[Tensor, "m p"]:
        """How much each segment's points count, by the share of unlabelled ground that was read there."""
        return torch.where(self.bounded[:, None], torch.ones_like(ground), 1 - ground)


def pairwise_costs(
    logits: Float[Tensor, "n p"],
    targets: Float[Tensor, "m p"],
    weights: Float[Tensor, "m p"] | None = None,
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    """Binary cross-entropy (mean over points) and dice loss between every mask and every segment.

    `weights` (0..1) says how much each point counts for each segment; None: all alike.
    """
    # softplus(-x) t + softplus(x) (1 - t) = softplus(x) - x t
    if weights is not None:
        return _weighted_costs(logits, targets, weights)
    cross_entropy = (F.softplus(logits).sum(1)[:, None] - logits @ targets.T) / logits.shape[1]
    probability = logits.sigmoid()
    overlap = 2 * (probability @ targets.T)
    sizes = probability.sum(1)[:, None] + targets.sum(1)
    return cross_entropy, 1 - (overlap + 1) / (sizes + 1)


def _weighted_costs(
    logits: Float[Tensor, "n p"], targets: Float[Tensor, "m p"], weights: Float[Tensor, "m p"]
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    targets = targets * weights
    cross_entropy = (F.softplus(logits) @ weights.T - logits @ targets.T) / weights.sum(1).clamp(min=1)
    probability = logits.sigmoid()
    overlap = 2 * (probability @ targets.T)
    sizes = probability @ weights.T + targets.sum(1)
    return cross_entropy, 1 - (overlap + 1) / (sizes + 1)


@torch.no_grad()
def match(
    class_logits: Float[Tensor, "n k"] | None,
    mask_logits: Float[Tensor, "n h w"],
    categories: Int[Tensor, " m"],
    masks: Float[Tensor, "m hp wp"],
    config: YOSOConfig,
    unknown: Unknown | None = None,
) -> Pairs:
    """Cheapest one-to-one pairing in one image.

    Masks are compared at `config.points` uniform points shared by all of them. Stage 0 has no classes
    (`class_logits` None) and goes by masks alone. Points on `unknown` ground count for no segment that may go
    on there.
    """
    points = torch.rand(1, config.points, 2, device=mask_logits.device)
    if len(categories) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=mask_logits.device)
        return nothing, nothing
    logits = sample_shared_points(mask_logits, points[0])
    targets = sample_shared_points(masks, points[0])
    # autocast would round the costs; they decide
    weights = None
    if unknown is not None:
        ground = sample_shared_points(unknown.ground[None], points[0])
        weights = unknown.weights(ground.expand(len(targets), -1)).float()
    cross_entropy, dice = pairwise_costs(logits.float(), targets.float(), weights)
    cost = config.mask_weight * cross_entropy + config.dice_weight * dice
    if class_logits is not None:
        cost = cost - config.class_weight * class_logits.float().softmax(-1)[:, categories]
    if not bool(cost.isfinite().all()):
        raise PansightError(
            "the network's outputs are not finite; lower the learning rate or clip gradients harder"
        )
    from scipy.optimize import linear_sum_assignment  # training alone pays for it

    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return (
        torch.as_tensor(rows, dtype=torch.int64, device=cost.device),
        torch.as_tensor(columns, dtype=torch.int64, device=cost.device),
    )
