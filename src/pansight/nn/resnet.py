"""ResNet-18/34/50/101 with detectron2's key names (He et al., CVPR 2016).

Keys: `stem.conv1.{weight,norm.*}`, `res{2..5}.{block}.{shortcut,conv1,conv2,conv3}.{weight,norm.*}`, and
`conv2_offset.{weight,bias}` in deformable stages.
"""

from collections.abc import Collection
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import ConvNorm, Norm
from pansight.nn.deform import OFFSET_CHANNELS, DeformConvNorm
from pansight.nn.features import Backbone, Pyramid
from pansight.nn.naming import KeyNames

Depth = Literal[18, 34, 50, 101]

BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}


class Stem(nn.Module):
    """7x7 convolution of stride 2, then 3x3 max pooling of stride 2: image to stride 4."""

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
    the 3x3 ("v1.5", torchvision's weights). `deform` makes the 3x3 a modulated deformable one, whose offsets
    come from `conv2_offset` and are none at first (detectron2); it must have no stride.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        eps: float,
        stride_in_1x1: bool,
        deform: bool = False,
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
        self.conv2: ConvNorm | DeformConvNorm
        self.conv2_offset: nn.Conv2d | None = None
        if deform:
            if stride3 != 1:
                raise ValueError("a deformable convolution has no stride here; use stride_in_1x1")
            self.conv2_offset = nn.Conv2d(width, OFFSET_CHANNELS, 3, padding=1)
            nn.init.zeros_(self.conv2_offset.weight)
            assert self.conv2_offset.bias is not None
            nn.init.zeros_(self.conv2_offset.bias)
            self.conv2 = DeformConvNorm(width, width, norm=norm, eps=eps)
        else:
            self.conv2 = ConvNorm(width, width, 3, stride=stride3, norm=norm, eps=eps)
        self.conv3 = ConvNorm(width, out, 1, norm=norm, eps=eps)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = F.relu_(self.conv1(x))
        y = F.relu_(self.conv2(y) if self.conv2_offset is None else self.conv2(y, self.conv2_offset(y)))
        y = self.conv3(y)
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(y)


class ResNet(Backbone):
    """A residual network that gives its four stages.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels of the stem and of the first stage's 3x3 convolutions (64 in the paper).
        norm: `frozen` statistics, or `batch`: learned ones.
        eps: of the norms.
        stride_in_1x1: see Bottleneck; without effect for 18 and 34.
        deform_stages: of 2..5, those whose 3x3 convolutions are deformable; depth 50 and 101 only.

    Attributes:
        channels: of the four outputs, strides 4, 8, 16, 32.
        key_names: what state dicts call its parts; detectron2's names unless `rename_keys` was called.
    """

    def __init__(
        self,
        depth: Depth = 50,
        *,
        width: int = 64,
        norm: Norm = "frozen",
        eps: float = 1e-5,
        stride_in_1x1: bool = False,
        deform_stages: Collection[int] = (),
    ) -> None:
        super().__init__()
        if deform_stages and depth < 50:
            raise ValueError("deformable stages need depth 50 or 101")
        block: Any = BasicBlock if depth < 50 else Bottleneck
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.channels: tuple[int, ...] = tuple(w * block.expansion for w in widths)
        self.stem = Stem(width, norm, eps)
        in_channels = width
        stages = []
        for stage, (blocks, stage_width) in enumerate(zip(BLOCKS[depth], widths, strict=True)):
            first_stride = 1 if stage == 0 else 2
            deform = (True,) if stage + 2 in deform_stages else ()
            layers = []
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                layers.append(block(in_channels, stage_width, stride, norm, eps, stride_in_1x1, *deform))
                in_channels = stage_width * block.expansion
            stages.append(nn.Sequential(*layers))
        self.res2, self.res3, self.res4, self.res5 = stages

    def rename_keys(self, names: KeyNames) -> None:
        """Once, before any state dict is made: use other names in them, such as `torchvision_names`."""
        self.key_names = names
        names.install(self)

    def parts(self) -> tuple[nn.Module, ...]:
        """Stem and stages: what can be frozen from the front on."""
        return self.stem, self.res2, self.res3, self.res4, self.res5

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        res2 = self.res2(self.stem(images))
        res3 = self.res3(res2)
        res4 = self.res4(res3)
        return Pyramid(res2, res3, res4, self.res5(res4))


def torchvision_names(network: ResNet) -> KeyNames:
    """How torchvision calls what is in `network`: `layer1.0.bn1` for `res2.0.conv1.norm`, and so on."""
    outer: dict[str, str] = {}
    for path, module in network.named_modules():
        if not isinstance(module, ConvNorm):
            continue
        if path == "stem.conv1":
            outer |= {path: "conv1", f"{path}.norm": "bn1"}
            continue
        stage, block, name = path.split(".")
        place = f"layer{int(stage.removeprefix('res')) - 1}.{block}"
        if name == "shortcut":
            outer |= {path: f"{place}.downsample.0", f"{path}.norm": f"{place}.downsample.1"}
        else:
            outer |= {path: f"{place}.{name}", f"{path}.norm": f"{place}.bn{name.removeprefix('conv')}"}
    return KeyNames(outer)
