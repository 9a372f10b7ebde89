"""ResNet-18/34/50/101 with detectron2's key names (He et al., CVPR 2016).

Keys: `stem.conv1.{weight,norm.*}`, `res{2..5}.{block}.{shortcut,conv1,conv2,conv3}.{weight,norm.*}`.
"""

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import ConvNorm, Norm

Depth = Literal[18, 34, 50, 101]

BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}


class Pyramid(NamedTuple):
    """Feature maps at strides 4, 8, 16 and 32."""

    res2: Float[Tensor, "b c2 h4 w4"]
    res3: Float[Tensor, "b c3 h8 w8"]
    res4: Float[Tensor, "b c4 h16 w16"]
    res5: Float[Tensor, "b c5 h32 w32"]


class Stem(nn.Module):
    """7x7 convolution of stride 2, then 3x3 max pooling of stride 2: picture to stride 4."""

    def __init__(self, channels: int, norm: Norm, eps: float) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2, norm=norm, eps=eps)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h4 w4"]:
        return F.max_pool2d(F.relu_(self.conv1(images)), kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, norm: Norm, eps: float, stride_in_1x1: bool
    ) -> None:
        super().__init__()
        self.shortcut = (
            ConvNorm(in_channels, width, 1, stride=stride, norm=norm, eps=eps)
            if stride != 1 or in_channels != width
            else None
        )
        self.conv1 = ConvNorm(in_channels, width, 3, stride=stride, norm=norm, eps=eps)
        self.conv2 = ConvNorm(width, width, 3, norm=norm, eps=eps)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = self.conv2(F.relu_(self.conv1(x)))
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(y)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions (ResNet-50 and -101).

    `stride_in_1x1` puts the stride into the first 1x1 (the original MSRA weights); otherwise it sits in
    the 3x3 ("v1.5", torchvision's weights).
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, norm: Norm, eps: float, stride_in_1x1: bool
    ) -> None:
        super().__init__()
        out = width * self.expansion
        self.shortcut = (
            ConvNorm(in_channels, out, 1, stride=stride, norm=norm, eps=eps)
            if stride != 1 or in_channels != out
            else None
        )
        stride1, stride3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = ConvNorm(in_channels, width, 1, stride=stride1, norm=norm, eps=eps)
        self.conv2 = ConvNorm(width, width, 3, stride=stride3, norm=norm, eps=eps)
        self.conv3 = ConvNorm(width, out, 1, norm=norm, eps=eps)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = F.relu_(self.conv1(x))
        y = F.relu_(self.conv2(y))
        y = self.conv3(y)
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(y)


class ResNet(nn.Module):
    """A residual network that gives its four stages.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels of the stem and of the first stage's 3x3 convolutions (64 in the paper).
        norm: `frozen` statistics, or `batch`: learned ones.
        eps: of the norms.
        stride_in_1x1: see Bottleneck; without effect for 18 and 34.

    Attributes:
        channels: of the four outputs, strides 4, 8, 16, 32.
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        depth: Depth = 50,
        *,
        width: int = 64,
        norm: Norm = "frozen",
        eps: float = 1e-5,
        stride_in_1x1: bool = False,
    ) -> None:
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.channels: tuple[int, ...] = tuple(w * block.expansion for w in widths)
        self.stem = Stem(width, norm, eps)
        in_channels = width
        stages = []
        for stage, (blocks, stage_width) in enumerate(zip(BLOCKS[depth], widths, strict=True)):
            first_stride = 1 if stage == 0 else 2
            layers = []
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                layers.append(block(in_channels, stage_width, stride, norm, eps, stride_in_1x1))
                in_channels = stage_width * block.expansion
            stages.append(nn.Sequential(*layers))
        self.res2, self.res3, self.res4, self.res5 = stages

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        res2 = self.res2(self.stem(images))
        res3 = self.res3(res2)
        res4 = self.res4(res3)
        return Pyramid(res2, res3, res4, self.res5(res4))
