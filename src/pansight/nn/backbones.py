"""Backbones by name; the contract that they meet is `pansight.nn.features.Backbone`."""

from collections.abc import Collection

from pansight.nn.conv import Norm
from pansight.nn.efficientnet_lite import SCALES, EfficientNetLite
from pansight.nn.features import Backbone
from pansight.nn.mobilenet_v2 import NAME as MOBILENET_V2
from pansight.nn.mobilenet_v2 import MobileNetV2
from pansight.nn.resnet import BLOCKS, Depth, ResNet
from pansight.nn.timm_features import PREFIX, TimmFeatures

RESNET = "resnet"
"""the residual network that a configuration's `depth`, `width` ... describe"""
RESNETS = (RESNET, *(f"{RESNET}{depth}" for depth in BLOCKS))


def backbone_names() -> list[str]:
    """Every name that `make_backbone` knows; `resnet` leaves the depth to the method's own option."""
    return [*RESNETS, *SCALES, MOBILENET_V2]


def is_backbone(name: str) -> bool:
    """Whether the name is one of `backbone_names()`, or `timm:` with a name behind it."""
    return name in backbone_names() or (name.startswith(PREFIX) and len(name) > len(PREFIX))


def make_backbone(
    name: str,
    *,
    depth: Depth = 50,
    width: int = 64,
    norm: Norm = "frozen",
    eps: float = 1e-5,
    stride_in_1x1: bool = False,
    deform_stages: Collection[int] = (),
) -> Backbone:
    """The backbone of that name, with fresh weights.

    `depth` counts for the name `resnet`; `width`, `eps`, `stride_in_1x1` and `deform_stages` for residual
    networks, see there. Others have the eps and the strides of their own papers, and none of their layers is
    deformable. Raises ValueError for an unknown name, and for deformable stages where there are none.

    Example:
        >>> make_backbone("efficientnet_lite0").channels
        (24, 40, 112, 320)
    """
    if name in RESNETS:
        own = name.removeprefix(RESNET)
        return ResNet(
            int(own) if own else depth,  # type: ignore[arg-type]
            width=width,
            norm=norm,
            eps=eps,
            stride_in_1x1=stride_in_1x1,
            deform_stages=deform_stages,
        )
    if deform_stages:
        raise ValueError(f"{name} has no deformable stages; leave deform_stages empty")
    if name.startswith(PREFIX):
        return TimmFeatures(name.removeprefix(PREFIX), norm=norm)
    if name == MOBILENET_V2:
        return MobileNetV2(norm=norm)
    if name in SCALES:
        return EfficientNetLite(name, norm=norm)
    raise ValueError(f"no backbone {name!r}; use one of {', '.join(backbone_names())}, or timm:NAME")
