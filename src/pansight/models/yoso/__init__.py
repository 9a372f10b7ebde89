"""YOSO (CVPR 2023): n mask kernels, refined by a separable dynamic decoder over one aggregated map."""

from pansight.models.yoso.config import YOSOConfig, YOSOMergeSettings
from pansight.models.yoso.model import YOSO, YOSOOutputs

__all__ = ["YOSO", "YOSOConfig", "YOSOMergeSettings", "YOSOOutputs"]
