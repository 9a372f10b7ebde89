"""MobileNetV2 (Sandler et al., CVPR 2018): features at four strides, torchvision's weights.

Keys: `stem.{weight,norm.*}` and `blocks.{i}.{expand,depthwise,project}.{weight,norm.*}`; the first block
expands nothing.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pansight.nn.conv import ConvNorm, Norm
from pansight.nn.features import Pyramid
from pansight.nn.inverted import InvertedBackbone, InvertedBottleneck

NAME = "mobilenet_v2"


class Stage(NamedTuple):
    """Blocks of one kind (Table 2)."""

    expansion: int
    channels: int
    blocks: int
    stride: int
    """of the first block"""


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
TAPPED = (1, 2, 4, 6)
"""stages whose outputs are the features, strides 4, 8, 16 and 32"""
STEM = 32


class MobileNetV2(InvertedBackbone):
    """Stem and blocks at width 1, without the head that classifies; its features are linear.

    Args:
        norm: `frozen` statistics, or `batch`: learned ones.

    Attributes:
        channels: of the four outputs, strides 4, 8, 16, 32.
    """

    def __init__(self, *, norm: Norm = "frozen") -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 3, stride=2, norm=norm)
        blocks: list[nn.Module] = []
        channels = STEM
        self._ends = []
        for number, stage in enumerate(STAGES):
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    InvertedBottleneck(ConvNorm, channels, stage.channels, 3, stride, stage.expansion, norm)
                )
                channels = stage.channels
            if number in TAPPED:
                self._ends.append(len(blocks))
        self.blocks = nn.ModuleList(blocks)
        self.channels: tuple[int, ...] = tuple(STAGES[number].channels for number in TAPPED)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        return Pyramid(*self.tapped(images))


_RENAMES = (
    (re.compile(r"^features\.0\.0\."), "stem."),
    (re.compile(r"^features\.0\.1\."), "stem.norm."),
    # the first block has no expansion, so its layers are one place further in front
    (re.compile(r"^features\.1\.conv\.0\.0\."), "blocks.0.depthwise."),
    (re.compile(r"^features\.1\.conv\.0\.1\."), "blocks.0.depthwise.norm."),
    (re.compile(r"^features\.1\.conv\.1\."), "blocks.0.project."),
    (re.compile(r"^features\.1\.conv\.2\."), "blocks.0.project.norm."),
)
_LAYERS = {"0.0": "expand.", "0.1": "expand.norm.", "1.0": "depthwise.", "1.1": "depthwise.norm.",
           "2": "project.", "3": "project.norm."}  # fmt: skip
_BLOCK = re.compile(r"^features\.(\d+)\.conv\.(0\.[01]|1\.[01]|2|3)\.")
CLASSIFIER = ("classifier.", "features.18.")


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of torchvision's state dict under our keys."""
    renamed = {}
    for key, tensor in state.items():
        if key.startswith(CLASSIFIER):
            continue
        for pattern, replacement in _RENAMES:
            key = pattern.sub(replacement, key)
        key = _BLOCK.sub(lambda found: f"blocks.{int(found[1]) - 1}.{_LAYERS[found[2]]}", key)
        renamed[key] = tensor
    return renamed
