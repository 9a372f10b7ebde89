"""Loss terms that several methods share."""

from jaxtyping import Float
from torch import Tensor


def dice_loss(
    logits: Float[Tensor, "n p"], targets: Float[Tensor, "n p"], smooth: float = 1.0
) -> Float[Tensor, " n"]:
    """1 - (2 overlap + smooth) / (sum of both + smooth), a row each; `targets` in 0..1.

    Milletari et al., V-Net (3DV 2016), with MaskFormer's smoothing.
    """
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum(-1)
    return 1 - (overlap + smooth) / (probability.sum(-1) + targets.sum(-1) + smooth)
