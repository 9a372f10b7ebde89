"""Backbones by name; the contract that they meet is `pansight.nn.features.Backbone`."""

from collections.abc import Collection

from pansight.nn.backbone_names import MOBILENET_V2, RESNET, RESNETS, backbone_names
from pansight.nn.backbone_names import is_backbone as is_backbone
from pansight.nn.conv import Norm
from pansight.nn.efficientnet_lite import SCALES, EfficientNetLite
from pansight.nn.features import Backbone
from pansight.nn.mobilenet_v2 import MobileNetV2
from pansight.nn.resnet import Depth, ResNet
from pansight.nn.timm_features import PREFIX, TimmFeatures


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
