"""Residual network and feature pyramid under YOLACT's key names, as the released weights have them."""

from jaxtyping import Float
from torch import Tensor

from pansight.models.backbone import backbone_of
from pansight.models.epsnet.config import EPSNetConfig
from pansight.nn.features import Backbone
from pansight.nn.fpn import FeaturePyramid
from pansight.nn.naming import KeyNames
from pansight.nn.resnet import ResNet, torchvision_names

Levels = tuple[Float[Tensor, "b c _ _"], ...]

# stored deepest first
PYRAMID_NAMES = {
    **{f"lateral.{level}": f"lat_layers.{2 - level}" for level in range(3)},
    **{f"output.{level}": f"pred_layers.{2 - level}" for level in range(3)},
    **{f"extra.{level}": f"downsample_layers.{level}" for level in range(2)},
}


def make_backbone(config: EPSNetConfig) -> Backbone:
    """A residual network whose keys are torchvision's but for `layers.0` instead of `layer1`; or another."""
    network = backbone_of(config)
    if not isinstance(network, ResNet):
        return network
    names = {}
    for inner, outer in torchvision_names(network).pairs():
        stage, dot, rest = outer.partition(".")
        number = stage.removeprefix("layer")
        names[inner] = f"layers.{int(number) - 1}{dot}{rest}" if number.isdigit() else outer
    network.rename_keys(KeyNames(names))
    return network


def make_pyramid(config: EPSNetConfig, in_channels: tuple[int, ...]) -> FeaturePyramid:
    """P3..P7 of C3..C5: bilinear on the way down, ReLU behind P3..P5, none behind P6 and P7."""
    return FeaturePyramid(
        in_channels,
        config.pyramid_channels,
        extra_levels=2,
        top_down="bilinear",
        rectify_outputs=True,
        rectify_between_extra=False,
        names=PYRAMID_NAMES,
    )
