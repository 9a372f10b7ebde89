"""YOSO (CVPR 2023): n mask kernels, refined by a separable dynamic decoder over one aggregated map."""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.models.yoso.config import YOSOConfig, YOSOMergeSettings

if TYPE_CHECKING:
    from pansight.models.yoso.model import YOSO, YOSOOutputs

__all__ = ["YOSO", "YOSOConfig", "YOSOMergeSettings", "YOSOOutputs"]

__getattr__ = lazy_names(
    __name__,
    {
        "YOSO": "pansight.models.yoso.model",
        "YOSOOutputs": "pansight.models.yoso.model",
    },
)
