"""The names of backbones, known without torch: configurations check them, and listing models builds none."""

RESNET = "resnet"
"""the residual network that a configuration's `depth`, `width` ... describe"""
RESNETS = (RESNET, "resnet18", "resnet34", "resnet50", "resnet101")
EFFICIENTNET_LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
MOBILENET_V2 = "mobilenet_v2"
TIMM_PREFIX = "timm:"


def backbone_names() -> list[str]:
    """Every name that `make_backbone` knows; `resnet` leaves the depth to the method's own option."""
    return [*RESNETS, *EFFICIENTNET_LITE, MOBILENET_V2]


def is_backbone(name: str) -> bool:
    """Whether the name is one of `backbone_names()`, or `timm:` followed by a name.

    Example:
        >>> is_backbone("resnet50"), is_backbone("timm:"), is_backbone("timm:convnext_tiny")
        (True, False, True)
    """
    return name in backbone_names() or (name.startswith(TIMM_PREFIX) and len(name) > len(TIMM_PREFIX))
