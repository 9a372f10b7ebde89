"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed.

Settings are known without torch, for configurations hold them.
"""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.merging.settings import Form, MergeSettings

if TYPE_CHECKING:
    from pansight.merging.argmax import Candidates, merge_by_argmax
    from pansight.merging.certainty import settled
    from pansight.merging.priority import PriorityRule, SoftMasks, merge_by_priority
    from pansight.merging.top_k import best_first, best_in_place, keep_first

__all__ = [
    "Candidates",
    "Form",
    "MergeSettings",
    "PriorityRule",
    "SoftMasks",
    "best_first",
    "best_in_place",
    "keep_first",
    "merge_by_argmax",
    "merge_by_priority",
    "settled",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Candidates": "pansight.merging.argmax",
        "merge_by_argmax": "pansight.merging.argmax",
        "settled": "pansight.merging.certainty",
        "PriorityRule": "pansight.merging.priority",
        "SoftMasks": "pansight.merging.priority",
        "merge_by_priority": "pansight.merging.priority",
        "best_first": "pansight.merging.top_k",
        "best_in_place": "pansight.merging.top_k",
        "keep_first": "pansight.merging.top_k",
    },
)
