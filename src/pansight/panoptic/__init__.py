"""Panoptic maps: on arrays (`PanopticMap`) and, where torch is at work, on tensors (`PanopticBatch`).

`PanopticBatch` is imported when it is first asked for: evaluating files needs no torch.
"""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.panoptic.ids import ID_LIMIT, ids_to_rgb, rgb_to_ids
from pansight.panoptic.instances import Instances
from pansight.panoptic.map import VOID, PanopticMap, Segment
from pansight.panoptic.merge_masks import merge_masks

if TYPE_CHECKING:
    from pansight.panoptic.batch import PanopticBatch

__all__ = [
    "ID_LIMIT",
    "VOID",
    "Instances",
    "PanopticBatch",
    "PanopticMap",
    "Segment",
    "ids_to_rgb",
    "merge_masks",
    "rgb_to_ids",
]

__getattr__ = lazy_names(__name__, {"PanopticBatch": "pansight.panoptic.batch"})
