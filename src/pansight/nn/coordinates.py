"""Where a pixel lies, as two more channels."""

import torch
from jaxtyping import Float
from torch import Tensor


def coordinate_channels(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2 h w"]:
    """x, then y, each from -1 to 1 with both ends included, for a map shaped like `like`."""
    batch, _, height, width = like.shape
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    pair = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    return pair.expand(batch, 2, height, width)
