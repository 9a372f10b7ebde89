"""The models of the dense-detections paper."""

from pansight.categories import Categories
from pansight.models.dense_detection.config import DenseDetectionConfig, DenseMergeSettings
from pansight.models.preprocess import Preprocess
from pansight.models.released_files import RELEASED
from pansight.models.spec import Figure, ModelSpec

MEAN_BGR = (102.9801, 115.9465, 122.7717)

SOURCE = "paper of dense detections"


def dense_detection_presets() -> tuple[ModelSpec, ...]:
    """Cityscapes, whose weights are released, and COCO, whose are not.

    Sizes and thresholds are the released code's; least areas of stuff are what others use at these sizes.
    """
    return (
        ModelSpec(
            name="dense-r50-cityscapes",
            method="dense_detection",
            config=DenseDetectionConfig(),
            categories=Categories.builtin("cityscapes"),
            preprocess=Preprocess(mean=MEAN_BGR, std=(1.0, 1.0, 1.0), channels="bgr"),
            description="dense detections, ResNet-50, Cityscapes, images as they are",
            weights=(RELEASED["dense-cityscapes"],),
            figures=(Figure(58.8, SOURCE, 10.1, "V100"),),
        ),
        ModelSpec(
            name="dense-r50-coco",
            method="dense_detection",
            config=DenseDetectionConfig(
                score_threshold=0.05, semantic_weight=0.4, merge=DenseMergeSettings(stuff_area=4096)
            ),
            categories=Categories.builtin("coco"),
            preprocess=Preprocess(
                short=800, longest=1333, mean=MEAN_BGR, std=(1.0, 1.0, 1.0), channels="bgr"
            ),
            description="dense detections, ResNet-50, COCO, short side 800; no weights are published",
            figures=(Figure(37.1, SOURCE, 15.9, "V100"),),
        ),
    )
