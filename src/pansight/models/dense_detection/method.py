"""What the rest of the library knows of dense detections."""

from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.presets import dense_detection_presets
from pansight.models.method import Method

METHOD = Method(
    name="dense_detection",
    model="pansight.models.dense_detection.model:DenseDetection",
    config=DenseDetectionConfig,
    presets=dense_detection_presets,
    # torchvision since 0.13 wraps the pyramid's convolutions; its unfrozen norms count batches
    renames=((r"^model\.", ""), (r"\b(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.")),
    drops=(".num_batches_tracked",),
    float_parts=("cls_logits", "box_cls_logits", "bbox_pred", "centerness", "levelness"),
)
