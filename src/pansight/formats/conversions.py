"""`PanopticMap` to and from other libraries' forms, as functions.

COCO, Cityscapes, detectron2, Hugging Face and supervision: they are the map's own methods, which say what
they take, give and raise.

    from pansight.formats.conversions import to_coco
    rgb, annotation = to_coco(panoptic, 7, "street.png")
"""

from pansight.panoptic import PanopticMap
from pansight.panoptic.cityscapes import CITYSCAPES_LABEL_IDS

__all__ = [
    "CITYSCAPES_LABEL_IDS",
    "from_cityscapes",
    "from_coco",
    "to_cityscapes",
    "to_coco",
    "to_detectron2",
    "to_huggingface",
    "to_supervision",
]

to_coco = PanopticMap.to_coco
from_coco = PanopticMap.from_coco
to_cityscapes = PanopticMap.to_cityscapes
from_cityscapes = PanopticMap.from_cityscapes
to_detectron2 = PanopticMap.to_detectron2
to_huggingface = PanopticMap.to_huggingface
to_supervision = PanopticMap.to_supervision
