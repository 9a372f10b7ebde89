"""Prototypes, and the two sets of coefficients that make masks of them (Sec. 3.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.features import Levels
from pansight.models.epsnet.outputs import ANCHORS


def make_protohead(in_channels: int, config: EPSNetConfig) -> nn.Sequential:
    """Three blocks, a doubling, a block, and a 1x1 convolution with one norm a prototype and a ReLU."""
    channels, groups = config.pyramid_channels, config.norm_groups

    def block(before: int) -> list[nn.Module]:
        return [nn.Conv2d(before, channels, 3, padding=1), nn.GroupNorm(groups, channels), nn.ReLU()]

    last = nn.Conv2d(channels, config.prototypes, 1)
    return nn.Sequential(
        *block(in_channels),
        *block(channels),
        *block(channels),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        *block(channels),
        last,
        # of the released 32 prototypes each is a group of its own
        nn.GroupNorm(config.prototypes, config.prototypes),
        nn.ReLU(),
    )


class InstanceHead(nn.Module):
    """Boxes, classes and coefficients of the anchors; shared by all levels (norms look at one at a time)."""

    def __init__(self, config: EPSNetConfig, things: int) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.upfeature = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(config.norm_groups, channels),
            nn.ReLU(),
        )
        self.bbox_layer = nn.Conv2d(channels, ANCHORS * 4, 3, padding=1)
        self.conf_layer = nn.Conv2d(channels, ANCHORS * (things + 1), 3, padding=1)
        self.mask_layer = nn.Conv2d(channels, ANCHORS * config.prototypes, 3, padding=1)

    def forward(
        self, levels: Levels
    ) -> tuple[Float[Tensor, "b a 4"], Float[Tensor, "b a t1"], Float[Tensor, "b a k"]]:
        """Predictions of all levels, fine to coarse, cells row by row, three anchors per cell."""
        features = [self.upfeature(level) for level in levels]
        boxes, classes, coefficients = (
            torch.cat([_by_anchor(layer(feature)) for feature in features], dim=1)
            for layer in (self.bbox_layer, self.conf_layer, self.mask_layer)
        )
        return boxes, classes, coefficients.tanh()


def _by_anchor(x: Float[Tensor, "b ac h w"]) -> Float[Tensor, "b a c"]:
    return x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (ANCHORS, -1)).flatten(1, 2)


class SemanticHead(nn.Sequential):
    """One set of coefficients a semantic class, from the coarsest level (P7); keys 0, 1 and 3."""

    def __init__(self, config: EPSNetConfig, classes: int) -> None:
        channels = config.pyramid_channels
        super().__init__(
            nn.Conv2d(channels, channels, 3),
            nn.GroupNorm(config.norm_groups, channels),
            nn.ReLU(),
            nn.Conv2d(channels, config.prototypes * classes, 1),
            nn.Tanh(),
        )
        self.classes = classes

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k s"]:
        """The convolution is not padded; inputs below 3 x 3 (images below 257) repeat their border."""
        # an exported graph meets inputs of either kind, so it always picks
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if tracing or min(input.shape[2:]) < 3:
            for axis in (2, 3):
                places = torch.arange(input.shape[axis] + 2, device=input.device)
                count, last = (places[-1] - 1).clamp(min=3), places[-3]
                input = input.index_select(axis, torch.minimum(places, last)[:count])
        for layer in self:
            input = layer(input)
        return input.mean((2, 3)).unflatten(1, (-1, self.classes))
