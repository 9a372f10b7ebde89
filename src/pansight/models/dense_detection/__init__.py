"""Dense detections (CVPR 2020): masks from the boxes that non-maximum suppression throws away."""

from pansight.models.dense_detection.config import DenseDetectionConfig, DenseMergeSettings
from pansight.models.dense_detection.model import DenseDetection
from pansight.models.dense_detection.outputs import DenseOutputs

__all__ = ["DenseDetection", "DenseDetectionConfig", "DenseMergeSettings", "DenseOutputs"]
