"""Which proposal answers for which segment (YOSO, Sec. 3.4; the matcher of Mask2Former)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.errors import PansightError
from pansight.models.yoso.config import YOSOConfig
from pansight.nn.points import sample_shared_points

Pairs = tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
"""proposals (ascending) and their segments; unnamed axes, for lists hold pairs of many lengths"""


def pairwise_costs(
    logits: Float[Tensor, "n p"], targets: Float[Tensor, "m p"]
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    """Binary cross-entropy (mean over points) and dice loss between every mask and every segment."""
    # softplus(-x) t + softplus(x) (1 - t) = softplus(x) - x t
    cross_entropy = (F.softplus(logits).sum(1)[:, None] - logits @ targets.T) / logits.shape[1]
    probability = logits.sigmoid()
    overlap = 2 * (probability @ targets.T)
    sizes = probability.sum(1)[:, None] + targets.sum(1)
    return cross_entropy, 1 - (overlap + 1) / (sizes + 1)


@torch.no_grad()
def match(
    class_logits: Float[Tensor, "n k"] | None,
    mask_logits: Float[Tensor, "n h w"],
    categories: Int[Tensor, " m"],
    masks: Float[Tensor, "m hp wp"],
    config: YOSOConfig,
) -> Pairs:
    """Cheapest one-to-one pairing in one picture.

    Masks are compared at `config.points` uniform points shared by all of them. Stage 0 has no classes
    (`class_logits` None) and goes by masks alone.
    """
    points = torch.rand(1, config.points, 2, device=mask_logits.device)
    if len(categories) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=mask_logits.device)
        return nothing, nothing
    logits = sample_shared_points(mask_logits, points[0])
    targets = sample_shared_points(masks, points[0])
    # autocast would round the costs; they decide
    cross_entropy, dice = pairwise_costs(logits.float(), targets.float())
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
