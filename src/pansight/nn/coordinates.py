"""Pixel positions, as two more channels."""

import torch
from jaxtyping import Float
from torch import Tensor


def coordinate_channels(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2 h w"]:
    """x, then y, each from -1 to 1 with both ends included, for a map shaped like `like`."""
    batch, _, height, width = like.shape
    x, y = _line(width, like), _line(height, like)
    pair = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    return pair.expand(batch, 2, height, width)


def _line(count: int, like: Tensor) -> Float[Tensor, " n"]:
    """From -1 to 1; of one pixel alone -1, where runtimes disagree on `linspace`."""
    # half precision cannot count that far
    dtype = like.dtype if like.dtype == torch.float64 else torch.float32
    numbers = torch.arange(count, device=like.device, dtype=dtype)
    return (2 * numbers / numbers[-1:].clamp(min=1) - 1).to(like.dtype)
