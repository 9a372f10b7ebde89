"""Reading maps at points, and choosing points where a mask is uncertain (PointRend, CVPR 2020, Sec. 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Points = Float[Tensor, "n p 2"]


def sample_points(maps: Float[Tensor, "n h w"], points: Points) -> Float[Tensor, "n p"]:
    """Bilinear values of each map at its points, (x, y) in 0..1 of the whole map; 0 outside."""
    grid = 2 * points[:, :, None] - 1
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0, :, 0]


def sample_shared_points(maps: Float[Tensor, "n h w"], points: Float[Tensor, "p 2"]) -> Float[Tensor, "n p"]:
    """As `sample_points`, with one set of points for all maps: the weights are worked out once."""
    grid = 2 * points[None, :, None] - 1
    return F.grid_sample(maps[None], grid, align_corners=False)[0, :, :, 0]


@torch.no_grad()
def uncertain_points(
    logits: Float[Tensor, "n h w"], points: int, oversample: float, importance: float
) -> Points:
    """Points for a loss: `importance` of them where |logit| is smallest, the others uniform.

    Drawn from `oversample * points` uniform candidates per mask. The order of the random draws is
    Mask2Former's: candidates, then the uniform rest.
    """
    count, device = logits.shape[0], logits.device
    candidates = torch.rand(count, int(points * oversample), 2, device=device)
    wanted = int(importance * points)
    uncertainty = -sample_points(logits, candidates).abs()
    best = uncertainty.topk(wanted, dim=1).indices
    chosen = candidates.gather(1, best[..., None].expand(-1, -1, 2))
    rest = torch.rand(count, points - wanted, 2, device=device)
    return torch.cat((chosen, rest), dim=1)
