"""Matches, misses and false alarms by class: additive, and exact to the last bit in any order."""

import warnings
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from pansight.categories import Categories
from pansight.metrics.remarks import EvaluationWarning, Remarks
from pansight.metrics.results import ClassQuality, PanopticQualityResult, average

# A sum of IoUs is kept as two whole numbers, high * 2**-26 + low * 2**-53. An IoU above 0.5 is a multiple of
# 2**-53, so nothing is ever rounded: any order of images, and any way of merging, gives the same bits.
_TP, _FP, _FN, _IOU_HIGH, _IOU_LOW = range(5)


class Counts:
    """tp, fp, fn and the sum of IoUs of each of `length` classes (or of any other kind of bin)."""

    def __init__(self, length: int) -> None:
        self._table: Int64[np.ndarray, "5 length"] = np.zeros((5, length), dtype=np.int64)

    @property
    def table(self) -> Int64[np.ndarray, "5 length"]:
        """All that was counted, to be carried elsewhere: tp, fp, fn and both parts of the sums of IoUs."""
        return self._table.copy()

    @classmethod
    def from_table(cls, table: Int64[np.ndarray, "5 length"]) -> "Counts":
        """The counts that `table` was taken from."""
        counts = cls(table.shape[1])
        counts._table += table
        return counts

    @property
    def any(self) -> bool:
        """Whether anything was counted."""
        return bool(self._table.any())

    @property
    def tp(self) -> Int64[np.ndarray, "length"]:
        """Matched pairs."""
        return self._table[_TP]

    @property
    def fp(self) -> Int64[np.ndarray, "length"]:
        """False positives."""
        return self._table[_FP]

    @property
    def fn(self) -> Int64[np.ndarray, "length"]:
        """False negatives."""
        return self._table[_FN]

    @property
    def ious(self) -> list[float]:
        """Sums of the IoUs of matched pairs, each correctly rounded."""
        high, low = self._table[_IOU_HIGH].tolist(), self._table[_IOU_LOW].tolist()
        return [((a << 27) + b) / (1 << 53) for a, b in zip(high, low, strict=True)]

    def add(
        self,
        found: Int64[np.ndarray, "pairs"],
        ious: Float64[np.ndarray, "pairs"],
        missed: Int64[np.ndarray, "missed"],
        false: Int64[np.ndarray, "false"],
    ) -> None:
        """Count matched pairs (their class and IoU, above 0.5), missed and false segments (their class)."""
        scaled = ious * 2.0**26
        high = np.floor(scaled)
        np.add.at(self._table[_TP], found, 1)
        np.add.at(self._table[_FP], false, 1)
        np.add.at(self._table[_FN], missed, 1)
        np.add.at(self._table[_IOU_HIGH], found, high.astype(np.int64))
        np.add.at(self._table[_IOU_LOW], found, ((scaled - high) * 2.0**27).astype(np.int64))

    def merge(self, other: "Counts") -> None:
        """Add what another has counted."""
        self._table += other._table

    def quality(self, categories: Categories, images: int, *, first: int = 0) -> PanopticQualityResult:
        """Panoptic quality of the classes that lie in the bins from `first` on, in the order of the set."""
        bins = range(first, first + len(categories))
        tp, fp, fn, ious = self.tp.tolist(), self.fp.tolist(), self.fn.tolist(), self.ious
        classes = [
            ClassQuality(category, tp[i], fp[i], fn[i], iou=ious[i])
            for category, i in zip(categories, bins, strict=True)
        ]
        return PanopticQualityResult(
            all=average(classes),
            things=average([one for one in classes if one.category.is_thing]),
            stuff=average([one for one in classes if not one.category.is_thing]),
            classes=tuple(classes),
            images=images,
        )


def with_remarks(
    result: PanopticQualityResult, categories: Categories, remarks: Remarks
) -> PanopticQualityResult:
    """The result with its warnings: the remarks, and each group of classes that has no value.

    Emits one EvaluationWarning, in the name of the caller's caller, when there are any.
    """
    lines = remarks.lines()
    if result.images:
        is_thing = categories.is_thing
        groups = (("things", is_thing, result.things), ("stuff", ~is_thing, result.stuff))
        lines += tuple(
            f"no value: no category of the {int(members.sum())} {group} occurs in truth or prediction"
            for group, members, quality in groups
            if members.any() and quality is None
        )
    if lines:
        more = f" (and {len(lines) - 1} more in result.warnings)" if len(lines) > 1 else ""
        warnings.warn(f"{lines[0]}{more}", EvaluationWarning, stacklevel=3)
    return replace(result, warnings=lines)
