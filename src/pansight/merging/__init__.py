"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed."""

from pansight.merging.rules import (
    Candidates,
    PriorityRule,
    SoftMasks,
    keep_first,
    merge_by_argmax,
    merge_by_priority,
)
from pansight.merging.settings import Form, MergeSettings

__all__ = [
    "Candidates",
    "Form",
    "MergeSettings",
    "PriorityRule",
    "SoftMasks",
    "keep_first",
    "merge_by_argmax",
    "merge_by_priority",
]
