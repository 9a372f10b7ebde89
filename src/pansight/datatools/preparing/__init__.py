"""From existing labels to COCO panoptic files, and from those to other forms."""

from pansight.datatools.preparing.coco_merge import CocoMerge
from pansight.datatools.preparing.exporting import Export, Form
from pansight.datatools.preparing.plan import Plan, TruthSource, plan_cityscapes, plan_panoptic
from pansight.datatools.preparing.polygons import LabelmePolygons
from pansight.datatools.preparing.writing import Outcome, Preparation

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
