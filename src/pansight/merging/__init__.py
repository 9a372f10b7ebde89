"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed.

Settings need no torch, because configurations contain them.
"""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.merging.settings import Form, MergeSettings

if TYPE_CHECKING:
    from pansight.merging.argmax import Candidates, merge_by_argmax
    from pansight.merging.certainty import calibrate_and_void
    from pansight.merging.priority import PriorityRule, SoftMasks, merge_by_priority
    from pansight.merging.top_k import top_k_in_place, top_k_kept, top_k_sorted

__all__ = [
    "Candidates",
    "Form",
    "MergeSettings",
    "PriorityRule",
    "SoftMasks",
    "calibrate_and_void",
    "merge_by_argmax",
    "merge_by_priority",
    "top_k_in_place",
    "top_k_kept",
    "top_k_sorted",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Candidates": "pansight.merging.argmax",
        "merge_by_argmax": "pansight.merging.argmax",
        "calibrate_and_void": "pansight.merging.certainty",
        "PriorityRule": "pansight.merging.priority",
        "SoftMasks": "pansight.merging.priority",
        "merge_by_priority": "pansight.merging.priority",
        "top_k_sorted": "pansight.merging.top_k",
        "top_k_in_place": "pansight.merging.top_k",
        "top_k_kept": "pansight.merging.top_k",
    },
)
