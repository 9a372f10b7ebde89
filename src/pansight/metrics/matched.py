"""One image as every measure sees it: the overlap table, both lists of segments and who matched whom.

Counting overlaps is what an evaluation costs; it is done here, once, and each measure reads the small tables.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

from pansight.categories import Categories
from pansight.errors import CategoryError, DataProblemsError, InputError
from pansight.metrics.coco_segments import (
    as_float,
    check_crowds,
    check_pixels_of_prediction,
    check_pixels_of_truth,
    read_prediction,
    read_truth,
    without,
)
from pansight.metrics.matching import Matches, SegmentTable, areas_of, match_segments, rows_of
from pansight.metrics.overlaps import Overlaps, count_overlaps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap

_LARGEST_IOU = 2.0**24
"""Only a wrong listed area brings an IoU above 1; beyond this, no meaningful union is left."""


class Tally(NamedTuple):
    """Matched pairs, false and missed segments of one image, and the sum of IoUs, by class."""

    tp: Int64[np.ndarray, "n"]
    fp: Int64[np.ndarray, "n"]
    fn: Int64[np.ndarray, "n"]
    iou: Float64[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class MatchedImage:
    """One image, matched. Rows are positions in `truth` [n] and `prediction` [m]; k intersections.

    `scores` are those of the predicted segments, NaN where there is none.
    """

    name: str
    truth_ids: Integer[np.ndarray, "h w"]
    prediction_ids: Integer[np.ndarray, "h w"]
    overlaps: Overlaps
    truth: SegmentTable
    prediction: SegmentTable
    scores: Float64[np.ndarray, "m"]
    matches: Matches
    exact: bool

    @cached_property
    def truth_rows(self) -> Int64[np.ndarray, "k"]:
        """The true segment of each intersection, -1 where none is listed."""
        return rows_of(self.truth.ids, self.overlaps.truth_ids)[self.overlaps.truth_index]

    @cached_property
    def prediction_rows(self) -> Int64[np.ndarray, "k"]:
        """The predicted segment of each intersection, -1 where none is listed."""
        return rows_of(self.prediction.ids, self.overlaps.prediction_ids)[self.overlaps.prediction_index]

    @cached_property
    def in_void(self) -> Bool[np.ndarray, "k"]:
        """True where an intersection lies in what is void in the truth."""
        if self.exact:
            return self.overlaps.truth_ids[self.overlaps.truth_index] == 0
        return self.truth_rows < 0

    @cached_property
    def truth_areas(self) -> Int64[np.ndarray, "n"]:
        """Pixels of each true segment, counted in the map in either mode."""
        return areas_of(self.truth, self.overlaps).astype(np.int64)

    @cached_property
    def prediction_areas(self) -> Int64[np.ndarray, "m"]:
        """Pixels of each predicted segment."""
        return predicted_areas(self.prediction, self.overlaps)

    @cached_property
    def evaluated_areas(self) -> Int64[np.ndarray, "m"]:
        """Pixels of each predicted segment that are not void in the truth."""
        void = self.in_void & (self.prediction_rows >= 0)
        areas = self.prediction_areas.copy()
        np.subtract.at(areas, self.prediction_rows[void], self.overlaps.pixels[void])
        return areas

    @cached_property
    def found_classes(self) -> Int64[np.ndarray, "pairs"]:
        """The category of each matched pair."""
        return self.truth.categories[self.matches.truth_rows]

    @cached_property
    def missed_rows(self) -> Int64[np.ndarray, "missed"]:
        """The false negatives; true segments of unknown category count nowhere."""
        return np.flatnonzero(self.matches.missed & (self.truth.categories >= 0))

    @cached_property
    def missed_classes(self) -> Int64[np.ndarray, "missed"]:
        """The category of each false negative."""
        return self.truth.categories[self.missed_rows]

    @cached_property
    def false_rows(self) -> Int64[np.ndarray, "false"]:
        """The false positives."""
        return np.flatnonzero(self.matches.false)

    @cached_property
    def false_classes(self) -> Int64[np.ndarray, "false"]:
        """The category of each false positive."""
        return self.prediction.categories[self.false_rows]

    def tally(self, classes: int) -> Tally:
        """What counts in this image, by class."""
        # Sums of floats depend on their order, and the numbering of segments is to change nothing.
        order = np.argsort(self.matches.ious)
        found = self.found_classes[order]
        return Tally(
            np.bincount(found, minlength=classes),
            np.bincount(self.false_classes, minlength=classes),
            np.bincount(self.missed_classes, minlength=classes),
            np.bincount(found, weights=self.matches.ious[order], minlength=classes),
        )


def overlaps_of_maps(
    prediction: PanopticMap, truth: PanopticMap, categories: Categories, name: str
) -> Overlaps:
    """Pixels that each pair of segments shares, of maps that fit each other and the evaluation.

    Raises InputError when they differ in size, CategoryError when they have other categories (names and
    thing flags, in order).
    """
    for kind, panoptic in (("prediction", prediction), ("truth", truth)):
        if not same_classes(panoptic.categories, categories):
            raise CategoryError(
                f"{name}: the {kind} has the categories of {panoptic.categories.name}, "
                f"the evaluation those of {categories.name}; use one set for both"
            )
    try:
        return count_overlaps(truth.ids, prediction.ids)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def match_maps(
    prediction: PanopticMap,
    truth: PanopticMap,
    categories: Categories,
    name: str,
    exact: bool,
    remarks: Remarks,
) -> MatchedImage:
    """Match two maps of equal size, counting areas in them.

    Raises InputError when they differ in size, CategoryError when they have other categories (names and
    thing flags, in order).
    """
    overlaps = overlaps_of_maps(prediction, truth, categories, name)
    true, predicted = _table(truth), _table(prediction)
    true = true._replace(areas=areas_of(true, overlaps))
    check_crowds(true, categories, name, exact, remarks)
    return MatchedImage(
        name,
        truth.ids,
        prediction.ids,
        overlaps,
        true,
        predicted,
        np.array([np.nan if one.score is None else one.score for one in prediction.segments], np.float64),
        match_segments(overlaps, true, predicted, exact=exact),
        exact,
    )


def match_coco(
    prediction_ids: Integer[np.ndarray, "h w"],
    prediction_segments: Sequence[Any],
    truth_ids: Integer[np.ndarray, "truth_h truth_w"],
    truth_segments: Sequence[Any],
    categories: Categories,
    prediction_name: str,
    truth_name: str,
    exact: bool,
    remarks: Remarks,
    name: str = "",
) -> MatchedImage:
    """Match one image given as COCO panoptic files hold it: id maps and their `segments_info`.

    `category_id` is the data set's id. True segments need `id`, `category_id`, `iscrowd` (and `area` in exact
    mode), predicted ones `id` and `category_id`, and `score` if they have one. The names are for messages;
    `name` (by default the truth's) is what the image is called in results.

    Raises DataProblemsError, listing all that is wrong with this image; `remarks` are untouched then.
    """
    problems: list[str] = []
    noted = Remarks()
    truth = read_truth(truth_segments, categories, truth_name, problems, noted)
    prediction = read_prediction(prediction_segments, categories, prediction_name, problems, noted)
    try:
        overlaps = count_overlaps(truth_ids, prediction_ids)
    except InputError as error:
        problems.append(f"{prediction_name}: {error}")
        with suppress(InputError):
            overlaps = count_overlaps(prediction_ids, prediction_ids)
            check_pixels_of_prediction(prediction, overlaps, prediction_name, problems, noted)
        raise DataProblemsError(f"{prediction_name}: not scored", problems) from error
    check_pixels_of_truth(truth, overlaps, truth_name, noted)
    check_pixels_of_prediction(prediction, overlaps, prediction_name, problems, noted)
    check_crowds(truth, categories, truth_name, exact, noted)
    if problems:
        raise DataProblemsError(f"{prediction_name}: not scored", problems)
    if not exact:
        present = np.isin(truth.ids, overlaps.truth_ids)
        truth = without(truth, ~present | (truth.ids == 0) | (truth.categories < 0))
        prediction = without(prediction, prediction.ids == 0)
    matches = match_segments(overlaps, truth, prediction, exact=exact)
    for row in matches.truth_rows[~(matches.ious < _LARGEST_IOU)].tolist():
        area = truth.areas[row]
        fault = "lacks area" if np.isnan(area) else f"has area {area:g}: no union is left"
        problems.append(f"{truth_name}: segment {truth.ids[row]} {fault}")
    if problems:
        raise DataProblemsError(f"{prediction_name}: not scored", problems)
    remarks.merge(noted)
    return MatchedImage(
        name or truth_name,
        truth_ids,
        prediction_ids,
        overlaps,
        truth,
        prediction,
        _scores(prediction_segments, prediction),
        matches,
        exact,
    )


def predicted_areas(prediction: SegmentTable, overlaps: Overlaps) -> Int64[np.ndarray, "m"]:
    """Pixels of each listed predicted segment, counted in the map."""
    rows = rows_of(overlaps.prediction_ids, prediction.ids)
    return np.append(overlaps.prediction_areas, 0)[rows]


def find_pairs(
    image: MatchedImage, truth_rows: Int64[np.ndarray, "k"], prediction_rows: Int64[np.ndarray, "k"]
) -> Int64[np.ndarray, "pairs"]:
    """The position of each matched pair in a list of intersections, -1 where the pair is not in it.

    The rows of an intersection may be -1; those of the others are unique as pairs.
    """
    width = len(image.prediction.ids) + 1
    known = np.flatnonzero((truth_rows >= 0) & (prediction_rows >= 0))
    keys = truth_rows[known] * width + prediction_rows[known]
    found = rows_of(keys, image.matches.truth_rows * width + image.matches.prediction_rows)
    return np.append(known, -1)[found]


def same_classes(one: Categories, other: Categories) -> bool:
    """Whether two category sets agree in names and thing flags, in order."""
    return one is other or (one.names == other.names and np.array_equal(one.is_thing, other.is_thing))


def _table(panoptic: PanopticMap) -> SegmentTable:
    segments = panoptic.segments
    return SegmentTable(
        ids=np.array([segment.id for segment in segments], dtype=np.int64),
        categories=np.array([segment.category for segment in segments], dtype=np.int64),
        crowd=np.array([segment.is_crowd for segment in segments], dtype=np.bool_),
        areas=np.full(len(segments), np.nan),
    )


def _scores(segments: Sequence[Any], prediction: SegmentTable) -> Float64[np.ndarray, "m"]:
    """The `score` of each listed prediction; NaN where there is none that is a number."""
    given = {int(row["id"]): row.get("score") for row in segments}
    values = [given[id] for id in prediction.ids.tolist()]
    return np.array([as_float(one) if isinstance(one, int | float) else np.nan for one in values], np.float64)
