"""The panoptic head (Sec. 4, Fig. 3): two towers shared by all levels, and what is read off them."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.conv_per_level import TAPS, ConvPerLevel
from pansight.models.dense_detection.outputs import STRIDES

OFFSET_LIMIT = math.log(10_000)
"""of the exponent: no box reaches further from its cell than 10 000 pixels"""


class Towers(NamedTuple):
    """The towers' outputs for each level, fine to coarse; for one tower both are the same maps."""

    box: tuple[Float[Tensor, "b c _ _"], ...]
    classes: tuple[Float[Tensor, "b d _ _"], ...]


class Scale(nn.Module):
    """One learned factor; key `scale`."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([value]))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x * self.scale


def make_tower(in_channels: int, channels: int, layers: int, group: int) -> nn.Sequential:
    """`layers` times 3x3 convolution, GroupNorm of `group` channels per group, ReLU."""
    modules: list[nn.Module] = []
    for layer in range(layers):
        modules += [
            nn.Conv2d(in_channels if layer == 0 else channels, channels, 3, padding=1),
            nn.GroupNorm(channels // group, channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*modules)


def first_scales(config: DenseDetectionConfig) -> tuple[float, ...]:
    """What each level's scale starts at: 1 as released, or what makes exp(scale * 1) its middle offset."""
    if config.box_start == "pixel":
        return (1.0,) * len(STRIDES)
    bounds = (*config.level_bounds, 2 * config.level_bounds[-1])
    return tuple(math.log(bound / 2) for bound in bounds)


class PanopticHead(nn.Module):
    """Towers, the three maps of every level, and the two maps of the whole image.

    Args:
        config: of the model.
        things: categories with instances.
        categories: all of them.
    """

    def __init__(self, config: DenseDetectionConfig, things: int, categories: int) -> None:
        super().__init__()
        levels = len(STRIDES)
        depth, group = config.tower_layers, config.norm_group
        box = config.box_channels
        self.cls_tower: nn.Sequential | None = None
        classes = box
        if config.towers == 2:
            classes = config.class_channels
            self.cls_tower = make_tower(config.pyramid_channels, classes, depth, group)
        self.bbox_tower = make_tower(config.pyramid_channels, box, depth, group)
        self.categories, self.class_channels = categories, classes
        self.cls_logits: nn.Module = nn.Conv2d(levels * classes, categories, 3, padding=1)
        self.box_cls_logits = nn.Conv2d(classes, things, 3, padding=1)
        self.bbox_pred = nn.Conv2d(box, 4, 3, padding=1)
        self.centerness = nn.Conv2d(box, 1, 3, padding=1)
        self.levelness: nn.Module | None = None
        if config.levelness:
            self.levelness = nn.Conv2d(levels * box, levels + 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale(value) for value in first_scales(config))
        self._initialise(config)

    def _initialise(self, config: DenseDetectionConfig) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        assert self.box_cls_logits.bias is not None and self.bbox_pred.bias is not None
        if config.class_prior is not None:
            # the released code puts it on the semantic layer, whose softmax takes it out again
            prior = math.log(config.class_prior / (1 - config.class_prior))
            nn.init.constant_(self.box_cls_logits.bias, prior)
        if config.box_start == "level":
            nn.init.ones_(self.bbox_pred.bias)

    def towers(self, levels: tuple[Float[Tensor, "b c _ _"], ...]) -> Towers:
        """Both towers on every level."""
        box = tuple(self.bbox_tower(level) for level in levels)
        if self.cls_tower is None:
            return Towers(box, box)
        return Towers(box, tuple(self.cls_tower(level) for level in levels))

    def offsets(self, box: tuple[Float[Tensor, "b c _ _"], ...]) -> tuple[Float[Tensor, "b 4 _ _"], ...]:
        """Left, top, right, bottom in pixels of each level."""
        return tuple(
            scale(self.bbox_pred(tower)).clamp(max=OFFSET_LIMIT).exp()
            for scale, tower in zip(self.scales, box, strict=True)
        )

    def semantics(self, classes: tuple[Float[Tensor, "b d _ _"], ...]) -> Float[Tensor, "b n h8 w8"]:
        """Logits of all categories at the size of P3 (the paper says twice that; released is this)."""
        return across_levels(self.cls_logits, classes, classes[0].shape[2:])

    def levels(self, box: tuple[Float[Tensor, "b c _ _"], ...]) -> Float[Tensor, "b l h4 w4"] | None:
        """Levelness at twice the size of P3, background first; None for a model without."""
        if self.levelness is None:
            return None
        height, width = box[0].shape[2:]
        return across_levels(self.levelness, box, (2 * height, 2 * width))

    @torch.no_grad()
    def fold(self) -> None:
        """For inference: the convolutions across levels work at each level's own resolution.

        With many categories the nine maps of each outweigh the tower's channels; such stay as they are.
        """
        semantics = self.cls_logits
        few = TAPS * self.categories <= 2 * self.class_channels
        if isinstance(semantics, nn.Conv2d) and few:
            self.cls_logits = ConvPerLevel(semantics, len(STRIDES), plain_first=True)
        if isinstance(self.levelness, nn.Conv2d):
            self.levelness = ConvPerLevel(self.levelness, len(STRIDES), plain_first=False)


def across_levels(
    convolution: nn.Module, maps: tuple[Float[Tensor, "b _ _ _"], ...], size: tuple[int, ...]
) -> Float[Tensor, "b o h w"]:
    """Bring all maps to one size (bilinear), concatenate, convolve; or the same in another order."""
    if isinstance(convolution, ConvPerLevel):
        return convolution(maps, size)
    resized = [F.interpolate(m, size=tuple(size), mode="bilinear", align_corners=False) for m in maps]
    return convolution(torch.cat(resized, dim=1))
