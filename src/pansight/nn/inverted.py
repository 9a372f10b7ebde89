"""The mobile inverted bottleneck of MobileNetV2 (Sandler et al., CVPR 2018) and its descendants."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import Norm


class InvertedBottleneck(nn.Module):
    """1x1 to `expansion` times the channels, depthwise k x k, 1x1 without activation; a residual if it fits.

    `convolution` makes the layers: `ConvNorm`, or one that pads otherwise.
    """

    def __init__(
        self,
        convolution: Callable[..., nn.Module],
        in_channels: int,
        channels: int,
        kernel: int,
        stride: int,
        expansion: int,
        norm: Norm,
    ) -> None:
        super().__init__()
        middle = in_channels * expansion
        self.expand = None if expansion == 1 else convolution(in_channels, middle, 1, norm=norm)
        self.depthwise = convolution(middle, middle, kernel, stride=stride, groups=middle, norm=norm)
        self.project = convolution(middle, channels, 1, norm=norm)
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y
