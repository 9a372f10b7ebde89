"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed."""

from pansight.merging.argmax import Candidates, merge_by_argmax
from pansight.merging.priority import PriorityRule, SoftMasks, merge_by_priority
from pansight.merging.settings import Form, MergeSettings
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
]
