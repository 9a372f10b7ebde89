"""From masks to one panoptic map, on tensors: argmax merge and priority merge, pruned and fixed.

Settings are known without torch, for configurations hold them.
"""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.merging.settings import Form, MergeSettings

if TYPE_CHECKING:
    from pansight.merging.rules import (
        Candidates,
        PriorityRule,
        SoftMasks,
        keep_first,
        merge_by_argmax,
        merge_by_priority,
    )

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

__getattr__ = lazy_names(
    __name__,
    {
        "Candidates": "pansight.merging.rules",
        "PriorityRule": "pansight.merging.rules",
        "SoftMasks": "pansight.merging.rules",
        "keep_first": "pansight.merging.rules",
        "merge_by_argmax": "pansight.merging.rules",
        "merge_by_priority": "pansight.merging.rules",
    },
)
