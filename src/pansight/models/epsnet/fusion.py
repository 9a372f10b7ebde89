"""What the prototypes are made of: P3, enriched with coarser levels (Sec. 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.features import Levels


class CrossLayerAttention(nn.Module):
    """Every position of P3 attends to all positions of each source level; the answers are added to P3.

    The map of attention (P3 has 4,761 positions at 550 x 550) is never whole in memory. Queries are asked
    once and the output convolution is done once, for the sum of all sources: the released code does both for
    each source, so its output bias enters once a source, and it does here.
    """

    def __init__(self, channels: int, inner: int, sources: int) -> None:
        super().__init__()
        self.sources = sources
        self.query_conv = nn.Conv2d(channels, inner, 1)
        self.key_conv = nn.Conv2d(channels, inner, 1)
        self.value_conv = nn.Conv2d(channels, inner, 1)
        self.out_conv = nn.Conv2d(inner, channels, 1)

    def forward(self, levels: Levels) -> Float[Tensor, "b c h w"]:
        """`levels`: P3, P4, P5, or more. No scaling by the root of the width, Eq. 6."""
        target = levels[0]
        query = _positions(self.query_conv(target))
        total = torch.zeros_like(query)
        for source in levels[: self.sources]:
            key, value = _positions(self.key_conv(source)), _positions(self.value_conv(source))
            total = total + F.scaled_dot_product_attention(query, key, value, scale=1.0)
        answers = total[:, 0].transpose(1, 2).unflatten(2, target.shape[2:])
        assert self.out_conv.bias is not None
        bias = self.sources * self.out_conv.bias
        return target + F.conv2d(answers, self.out_conv.weight, bias)


def _positions(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 p c"]:
    """As one head of attention: fused kernels take no less than four dimensions."""
    return x.flatten(2).transpose(1, 2).contiguous()[:, None]


class NormalFusion(nn.Module):
    """P3, P4, P5, each convolved and upsampled to P3's size, and added: the paper's baseline.

    Keys `layer_modules.{level}.{0, 1, ...}`.
    """

    def __init__(self, channels: int, inner: int, groups: int) -> None:
        super().__init__()
        self.layer_modules = nn.ModuleList(
            _upsampling(channels, inner, groups, blocks) for blocks in (1, 2, 3)
        )

    def forward(self, levels: Levels) -> Float[Tensor, "b d h w"]:
        size = levels[0].shape[2:]
        maps = [module(level) for module, level in zip(self.layer_modules, levels, strict=False)]
        total = maps[0]
        for coarse in maps[1:]:
            total = total + F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        return total


def _upsampling(channels: int, inner: int, groups: int, blocks: int) -> nn.Sequential:
    """Blocks of 3x3 convolution, norm and ReLU, with doublings between them."""
    layers: list[nn.Module] = []
    for number in range(blocks):
        if number:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        layers.append(nn.Conv2d(channels if number == 0 else inner, inner, 3, padding=1))
        layers += [nn.GroupNorm(groups, inner), nn.ReLU()]
    return nn.Sequential(*layers)


def make_fusion(config: EPSNetConfig) -> CrossLayerAttention | NormalFusion | None:
    """What the configuration asks for; None: P3 as it is."""
    if config.fusion == "attention":
        return CrossLayerAttention(config.pyramid_channels, config.fusion_channels, config.fusion_layers)
    if config.fusion == "normal":
        return NormalFusion(config.pyramid_channels, config.fusion_channels, config.norm_groups)
    return None
