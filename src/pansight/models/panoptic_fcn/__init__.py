"""Panoptic FCN: every thing and every stuff region as one generated kernel."""

from pansight.models.panoptic_fcn.config import PanopticFCNConfig, PanopticFCNMergeSettings
from pansight.models.panoptic_fcn.model import PanopticFCN

__all__ = ["PanopticFCN", "PanopticFCNConfig", "PanopticFCNMergeSettings"]
