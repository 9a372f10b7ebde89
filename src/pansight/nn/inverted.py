"""The mobile inverted bottleneck of MobileNetV2 (Sandler et al., CVPR 2018) and its descendants."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import Norm
from pansight.nn.features import Backbone


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


class InvertedBackbone(Backbone):
    """A stem and one row of such blocks, some of which end with a feature.

    Subclasses make `stem` and `blocks`, and say in `_ends` how many blocks there are up to each
    feature.
    """

    stem: nn.Module
    blocks: nn.ModuleList
    _ends: list[int]

    def parts(self) -> tuple[nn.Module, ...]:
        """Stem, and the blocks up to each feature: what can be frozen from the front on."""
        starts = [0, *self._ends[:-1]]
        return self.stem, *(
            nn.ModuleList(self.blocks[start:end]) for start, end in zip(starts, self._ends, strict=True)
        )

    def tapped(self, images: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The features as the blocks give them."""
        x = F.relu6(self.stem(images), inplace=True)
        features = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self._ends:
                features.append(x)
        return features
