"""From images to the pyramid, and from the pyramid to the one map that kernels are convolved with."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.backbone import backbone_of
from pansight.models.panoptic_fcn.blocks import GroupNormConv, Tower
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.nn.coordinates import coordinate_channels
from pansight.nn.fpn import FeaturePyramid
from pansight.nn.naming import KeyNames

Levels = tuple[Float[Tensor, "b c _ _"], ...]

FPN_NAMES = {
    **{f"fpn.lateral.{level}": f"fpn_lateral{level + 2}" for level in range(4)},
    **{f"fpn.output.{level}": f"fpn_output{level + 2}" for level in range(4)},
    "fpn.extra.0": "top_block.p6",
    "fpn.extra.1": "top_block.p7",
}


class Backbone(nn.Module):
    """Backbone and feature pyramid P2..P7; keys `bottom_up`, `fpn_lateral2` ..., as in detectron2.

    P6 is made of P5, P7 of ReLU(P6).
    """

    def __init__(self, config: PanopticFCNConfig) -> None:
        super().__init__()
        self.bottom_up = backbone_of(
            config, stride_in_1x1=config.stride_in_1x1, deform_stages=config.deform_stages
        )
        self.fpn = FeaturePyramid(self.bottom_up.channels, config.pyramid_channels, extra_levels=2)
        KeyNames(FPN_NAMES).install(self)
        self.bottom_up.freeze(config.frozen_stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Levels:
        return self.fpn(self.bottom_up(images))


class SemanticFPN(nn.Module):
    """P2..P5, each convolved and upsampled up to stride 4, and added (Kirillov et al., CVPR 2019)."""

    def __init__(self, channels: int, group: int) -> None:
        super().__init__()

        def block() -> nn.Module:
            # the bare convolution, and the ReLU behind its norm without a key of its own
            return _Rectified(channels, group)

        def twice() -> nn.Module:
            return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

        self.p2 = nn.Sequential(block())
        self.p3 = nn.Sequential(block(), twice())
        self.p4 = nn.Sequential(block(), twice(), block(), twice())
        self.p5 = nn.Sequential(block(), twice(), block(), twice(), block(), twice())
        for module in self.modules():
            if isinstance(module, GroupNormConv):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, levels: Levels) -> Float[Tensor, "b c h4 w4"]:
        """`levels`: P2..P5, each half as large as the previous one."""
        p2, p3, p4, p5 = levels
        return self.p2(p2) + self.p3(p3) + self.p4(p4) + self.p5(p5)


class _Rectified(GroupNormConv):
    """Convolution, norm and ReLU."""

    def __init__(self, channels: int, group: int) -> None:
        super().__init__(channels, channels, group)

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return F.relu(super().forward(input))


def summed(levels: Levels) -> Float[Tensor, "b c h4 w4"]:
    """All levels upsampled to the first one's size, and added (the paper's "FPN-summed")."""
    size = levels[0].shape[2:]
    total = levels[0]
    for level in levels[1:]:
        total = total + F.interpolate(level, size=size, mode="bilinear", align_corners=False)
    return total


class FeatureEncoder(nn.Module):
    """The encoded feature: coordinates appended, convolutions without norm, a ReLU behind each."""

    def __init__(self, config: PanopticFCNConfig) -> None:
        super().__init__()
        self.coordinates = config.feature_coordinates
        self.deform = config.encoder_deform
        self.encode_head = Tower(
            "encode_head",
            config.pyramid_channels + 2 * self.coordinates,
            config.encoder_channels,
            config.encoder_layers,
            None,
            config.encoder_deform,
        )

    def forward(self, x: Float[Tensor, "b c h4 w4"]) -> Float[Tensor, "b d h4 w4"]:
        return self.encode_head(with_coordinates(x) if self.coordinates else x)

    def fold(self) -> None:
        """Keep apart what coordinates contribute, once; not where they are read at learned offsets."""
        if self.coordinates and not self.deform:
            self.encode_head.split_coordinates()
            self.coordinates = False


def with_coordinates(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
    """Two more channels: y, then x, each from -1 to 1 over the padded map; -1 where a side is 1."""
    return torch.cat((x, coordinate_channels(x).flip(1)), dim=1)
