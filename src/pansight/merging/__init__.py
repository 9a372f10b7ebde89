"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed."""

from pansight.merging.rules import (
    Candidates,
    PriorityRule,
    SoftMasks,
    data_may_shape,
    keep_first,
    merge_by_argmax,
    merge_by_priority,
)

__all__ = [
    "Candidates",
    "PriorityRule",
    "SoftMasks",
    "data_may_shape",
    "keep_first",
    "merge_by_argmax",
    "merge_by_priority",
]
