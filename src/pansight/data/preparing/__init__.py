"""From the labels that people have to COCO panoptic files, and from those to other forms."""

from pansight.data.preparing.coco_merge import CocoMerge
from pansight.data.preparing.exporting import Export, Form
from pansight.data.preparing.plan import Plan, TruthSource, plan_cityscapes, plan_panoptic
from pansight.data.preparing.polygons import LabelmePolygons
from pansight.data.preparing.writing import Outcome, Preparation

__all__ = [
    "CocoMerge",
    "Export",
    "Form",
    "LabelmePolygons",
    "Outcome",
    "Plan",
    "Preparation",
    "TruthSource",
    "plan_cityscapes",
    "plan_panoptic",
]
