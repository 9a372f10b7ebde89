"""Convolve, then upsample: what the head computes at full size from upsampled maps, without the upsampled
maps.

A 3x3 convolution is a sum of nine shifted 1x1 convolutions, and a 1x1 convolution commutes with bilinear
resizing, which treats every channel alike. So each level makes nine "tap" maps per output channel at its own
resolution; those are upsampled, summed over levels and shifted into place, with zeros from beyond the border
just as the convolution's padding has them. Exact but for rounding.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 9


class ConvPerLevel(nn.Module):
    """A 3x3 convolution across concatenated levels, applied level by level.

    Args:
        convolution: 3x3, padding 1, stride 1, on `levels` equal shares of channels.
        levels: how many.
        plain_first: the first level has the size of the result already: convolve it as usual.
    """

    def __init__(self, convolution: nn.Conv2d, levels: int, *, plain_first: bool) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.outputs = convolution.out_channels
        shares = convolution.weight.detach().chunk(levels, dim=1)
        self.bias = nn.Parameter(convolution.bias.detach().clone(), requires_grad=False)
        self.plain = nn.Parameter(shares[0].clone(), requires_grad=False) if plain_first else None
        # rows (tap, output channel): a tap's channels lie together, to be shifted together
        self.taps = nn.ParameterList(
            nn.Parameter(
                share.permute(2, 3, 0, 1).reshape(TAPS * self.outputs, -1, 1, 1), requires_grad=False
            )
            for share in shares[1 if plain_first else 0 :]
        )

    def forward(
        self, maps: tuple[Float[Tensor, "b _ _ _"], ...], size: tuple[int, ...]
    ) -> Float[Tensor, "b o h w"]:
        """The convolution of all `maps`, each brought to `size`, in their order along the channels."""
        total: Tensor | None = None
        for weight, level in zip(self.taps, maps[len(maps) - len(self.taps) :], strict=True):
            taps = F.conv2d(level, weight)
            resized = F.interpolate(taps, size=tuple(size), mode="bilinear", align_corners=False)
            total = resized if total is None else total.add_(resized)
        assert total is not None
        height, width = size
        shifted = F.pad(total, (1, 1, 1, 1)).unflatten(1, (TAPS, self.outputs))
        if self.plain is not None:
            result = F.conv2d(maps[0], self.plain, self.bias, padding=1)
        else:
            result = self.bias[:, None, None].expand(total.shape[0], -1, height, width).clone()
        for tap in range(TAPS):
            row, column = divmod(tap, 3)
            result += shifted[:, tap, :, row : row + height, column : column + width]
        return result
