"""Panoptic FCN: every thing and every stuff region as one generated kernel."""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.models.panoptic_fcn.config import PanopticFCNConfig, PanopticFCNMergeSettings

if TYPE_CHECKING:
    from pansight.models.panoptic_fcn.model import PanopticFCN

__all__ = ["PanopticFCN", "PanopticFCNConfig", "PanopticFCNMergeSettings"]

__getattr__ = lazy_names(
    __name__,
    {
        "PanopticFCN": "pansight.models.panoptic_fcn.model",
    },
)
