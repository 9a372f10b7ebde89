"""Dense detections (CVPR 2020): masks from the boxes that non-maximum suppression throws away."""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.models.dense_detection.config import DenseDetectionConfig, DenseMergeSettings

if TYPE_CHECKING:
    from pansight.models.dense_detection.model import DenseDetection
    from pansight.models.dense_detection.outputs import DenseOutputs

__all__ = ["DenseDetection", "DenseDetectionConfig", "DenseMergeSettings", "DenseOutputs"]

__getattr__ = lazy_names(
    __name__,
    {
        "DenseDetection": "pansight.models.dense_detection.model",
        "DenseOutputs": "pansight.models.dense_detection.outputs",
    },
)
