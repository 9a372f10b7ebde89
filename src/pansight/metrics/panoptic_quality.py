"""Panoptic quality over any number of images, in constant memory and independent of their order.

Kirillov et al., Panoptic Segmentation (CVPR 2019); reference implementation: panopticapi.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer

from pansight.categories import Categories
from pansight.errors import CategoryError, DataProblemsError, InputError
from pansight.metrics.coco_segments import (
    check_crowds,
    check_pixels_of_prediction,
    check_pixels_of_truth,
    read_prediction,
    read_truth,
    without,
)
from pansight.metrics.matching import Matches, SegmentTable, areas_of, match_segments
from pansight.metrics.overlaps import count_overlaps
from pansight.metrics.remarks import EvaluationWarning, Remarks
from pansight.metrics.results import ClassQuality, PanopticQualityResult, average
from pansight.panoptic import PanopticMap

# A sum of IoUs is kept as two whole numbers, high * 2**-26 + low * 2**-53. An IoU above 0.5 is a multiple of
# 2**-53, so nothing is ever rounded: any order of images, and any way of merging, gives the same bits.
_TP, _FP, _FN, _IOU_HIGH, _IOU_LOW = range(5)

_LARGEST_IOU = 2.0**24
"""Only a wrong listed area brings an IoU above 1; beyond this, it leaves no union worth the name."""


class PanopticQuality:
    """Accumulates matches image by image; `compute` may be called at any time.

    Two modes, equal on clean data:

    - default: areas of true segments are counted in the map; every crowd region excuses predictions of its
      category; true ids that are not listed, or of a category unknown here, are void, as is id 0 even if
      listed; listed true segments without pixels do not exist.
    - `exact=True`: the answer of the reference implementation, quirks included: the areas of true segments
      are taken from the JSON; only the last listed crowd of a category counts; unlisted true ids are
      background, not void; a true segment of an unknown category counts nowhere but is no void; listed true
      segments without pixels are missed; a listed id 0 is a segment.

    Both remark on each of these in `PanopticQualityResult.warnings`. The state is of int64 and additive, so
    accumulators filled anywhere can be merged, exactly.
    """

    def __init__(self, categories: Categories, exact: bool = False) -> None:
        self.categories = categories
        self.exact = exact
        self.images = 0
        self._counts: Int64[np.ndarray, "5 n"] = np.zeros((5, len(categories)), dtype=np.int64)
        self.remarks = Remarks()

    @property
    def counted(self) -> bool:
        """Whether any segment of a known category was matched, missed or false so far."""
        return bool(self._counts.any())

    def update(self, prediction: PanopticMap, truth: PanopticMap, name: str = "") -> None:
        """Score one image given as two maps of equal size, counting areas in them; `name` is for warnings.

        Raises InputError when they differ in size, CategoryError when they have other categories than this
        accumulator (names and thing flags, in order).
        """
        name = name or f"image {self.images + 1}"
        for kind, panoptic in (("prediction", prediction), ("truth", truth)):
            if not self._same_classes(panoptic.categories):
                raise CategoryError(
                    f"{name}: the {kind} has the categories of {panoptic.categories.name}, "
                    f"the evaluation those of {self.categories.name}; use one set for both"
                )
        try:
            overlaps = count_overlaps(truth.ids, prediction.ids)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        true, predicted = _table(truth), _table(prediction)
        true = true._replace(areas=areas_of(true, overlaps))
        check_crowds(true, self.categories, name, self.exact, self.remarks)
        self._count(match_segments(overlaps, true, predicted, exact=self.exact), true, predicted)

    def update_coco(
        self,
        prediction_ids: Integer[np.ndarray, "h w"],
        prediction_segments: Sequence[Any],
        truth_ids: Integer[np.ndarray, "truth_h truth_w"],
        truth_segments: Sequence[Any],
        prediction_name: str = "prediction",
        truth_name: str = "truth",
    ) -> None:
        """Score one image given as COCO panoptic files hold it: id maps and their `segments_info`.

        `category_id` is the data set's id. True segments need `id`, `category_id`, `iscrowd` (and `area` in
        exact mode), predicted ones `id` and `category_id`; all else is ignored. The names are for messages.

        Raises DataProblemsError, listing all that is wrong with this image, and counts nothing then.
        """
        problems: list[str] = []
        remarks = Remarks()
        truth = read_truth(truth_segments, self.categories, truth_name, problems, remarks)
        prediction = read_prediction(prediction_segments, self.categories, prediction_name, problems, remarks)
        try:
            overlaps = count_overlaps(truth_ids, prediction_ids)
        except InputError as error:
            problems.append(f"{prediction_name}: {error}")
            with suppress(InputError):
                overlaps = count_overlaps(prediction_ids, prediction_ids)
                check_pixels_of_prediction(prediction, overlaps, prediction_name, problems, remarks)
            raise DataProblemsError(f"{prediction_name}: not scored", problems) from error
        check_pixels_of_truth(truth, overlaps, truth_name, remarks)
        check_pixels_of_prediction(prediction, overlaps, prediction_name, problems, remarks)
        check_crowds(truth, self.categories, truth_name, self.exact, remarks)
        if not problems:
            if not self.exact:
                present = np.isin(truth.ids, overlaps.truth_ids)
                truth = without(truth, ~present | (truth.ids == 0) | (truth.categories < 0))
                prediction = without(prediction, prediction.ids == 0)
            matches = match_segments(overlaps, truth, prediction, exact=self.exact)
            for row, iou in zip(matches.truth_rows, matches.ious, strict=True):
                if not iou < _LARGEST_IOU:
                    fault = (
                        "lacks area" if np.isnan(iou) else f"has area {truth.areas[row]:g}: no union is left"
                    )
                    problems.append(f"{truth_name}: segment {truth.ids[row]} {fault}")
        if problems:
            raise DataProblemsError(f"{prediction_name}: not scored", problems)
        self.remarks.merge(remarks)
        self._count(matches, truth, prediction)

    def merge(self, other: "PanopticQuality") -> None:
        """Add what another accumulator has seen. Raises CategoryError when its categories or mode differ."""
        if self.exact != other.exact or not self._same_classes(other.categories):
            raise CategoryError(
                f"an evaluation of {other.categories.name} (exact={other.exact}) cannot be merged "
                f"into one of {self.categories.name} (exact={self.exact}); make both alike"
            )
        self._counts += other._counts
        self.images += other.images
        self.remarks.merge(other.remarks)

    def compute(self) -> PanopticQualityResult:
        """The quality of all that was seen so far. Emits one EvaluationWarning when there are remarks."""
        classes = []
        for category, (tp, fp, fn, high, low) in zip(self.categories, self._counts.T.tolist(), strict=True):
            classes.append(ClassQuality(category, tp, fp, fn, iou=((high << 27) + low) / (1 << 53)))
        things = [one for one in classes if one.category.is_thing]
        stuff = [one for one in classes if not one.category.is_thing]
        groups = {"all": average(classes), "things": average(things), "stuff": average(stuff)}
        lines = self.remarks.lines()
        if self.images:
            lines += tuple(
                f"no value: no category of the {len(members)} {name} occurs in truth or prediction"
                for name, members in (("things", things), ("stuff", stuff))
                if members and groups[name] is None
            )
        if lines:
            more = f" (and {len(lines) - 1} more in result.warnings)" if len(lines) > 1 else ""
            warnings.warn(f"{lines[0]}{more}", EvaluationWarning, stacklevel=2)
        return PanopticQualityResult(**groups, classes=tuple(classes), images=self.images, warnings=lines)

    def _count(self, matches: Matches, truth: SegmentTable, prediction: SegmentTable) -> None:
        high = np.floor(matches.ious * 2.0**26)
        low = (matches.ious * 2.0**26 - high) * 2.0**27
        matched = truth.categories[matches.truth_rows]
        missed = truth.categories[matches.missed & (truth.categories >= 0)]
        for kind, category, amount in (
            (_TP, matched, 1),
            (_FP, prediction.categories[matches.false], 1),
            (_FN, missed, 1),
            (_IOU_HIGH, matched, high.astype(np.int64)),
            (_IOU_LOW, matched, low.astype(np.int64)),
        ):
            np.add.at(self._counts[kind], category, amount)
        self.images += 1

    def _same_classes(self, categories: Categories) -> bool:
        return categories is self.categories or (
            categories.names == self.categories.names
            and np.array_equal(categories.is_thing, self.categories.is_thing)
        )


def _table(panoptic: PanopticMap) -> SegmentTable:
    segments = panoptic.segments
    return SegmentTable(
        ids=np.array([segment.id for segment in segments], dtype=np.int64),
        categories=np.array([segment.category for segment in segments], dtype=np.int64),
        crowd=np.array([segment.is_crowd for segment in segments], dtype=np.bool_),
        areas=np.full(len(segments), np.nan),
    )
