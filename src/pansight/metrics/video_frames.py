"""One frame of two videos, truth and prediction, read and checked: what every video metric starts from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, Integer

from pansight.categories import Categories
from pansight.errors import DataProblemsError, InputError
from pansight.metrics.coco_segments import as_float, check_pixels_of_prediction, check_pixels_of_truth
from pansight.metrics.matched import overlaps_of_maps
from pansight.metrics.matching import SegmentTable, areas_of, rows_of
from pansight.metrics.overlaps import Overlaps, count_overlaps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ID_LIMIT


class FramePair(NamedTuple):
    """What truth and prediction say of one frame.

    `truth_ids`, `prediction_ids`, `pixels` [k]: the non-empty intersections of the two id maps, 0 being void.
    `truth.areas` are those to score with: listed ones in exact mode, else counted; `prediction.areas` are
    counted. Every listed prediction has pixels, every predicted id but 0 is listed. In sane mode that holds
    for the truth, too. `last_true`, `last_predicted`: the category of the last entry of each listed id, where
    the tables have that of the first; as VIPSeg's script requires.
    """

    truth: SegmentTable
    prediction: SegmentTable
    truth_ids: Int64[np.ndarray, "k"]
    prediction_ids: Int64[np.ndarray, "k"]
    pixels: Int64[np.ndarray, "k"]
    last_true: Int64[np.ndarray, "n"]
    last_predicted: Int64[np.ndarray, "m"]


def pair_maps(prediction: PanopticMap, truth: PanopticMap, categories: Categories, name: str) -> FramePair:
    """A frame given as two maps of equal size; areas are counted in them.

    Raises InputError when they differ in size, CategoryError when they have other categories (names and
    thing flags, in order).
    """
    overlaps = overlaps_of_maps(prediction, truth, categories, name)
    return _frame(_Listing.of(truth), _Listing.of(prediction), overlaps)


def pair_coco(
    prediction_ids: Integer[np.ndarray, "h w"],
    prediction_segments: Sequence[Any],
    truth_ids: Integer[np.ndarray, "truth_h truth_w"],
    truth_segments: Sequence[Any],
    categories: Categories,
    exact: bool,
    remarks: Remarks,
    prediction_name: str = "prediction",
    truth_name: str = "truth",
) -> FramePair:
    """A frame given as COCO panoptic files hold it: id maps and their `segments_info`.

    `category_id` is the data set's id. True segments need `id`, `category_id`, `iscrowd` (and `area` in exact
    mode), predicted ones `id` and `category_id`. Of an id that is listed twice the first entry stands, and
    listed areas add up, as in the reference (the image metric's reference lets the last one win).

    Raises DataProblemsError, listing all that is wrong with this frame.
    """
    problems: list[str] = []
    truth = _listed(truth_segments, categories, truth_name, problems, remarks, of_truth=True)
    prediction = _listed(prediction_segments, categories, prediction_name, problems, remarks, of_truth=False)
    if exact and np.isnan(truth.table.areas).any():
        problems += [
            f"{truth_name}: segment {id} lacks area"
            for id in truth.table.ids[np.isnan(truth.table.areas)].tolist()
        ]
    try:
        overlaps = count_overlaps(truth_ids, prediction_ids)
    except InputError as error:
        problems.append(f"{prediction_name}: {error}")
        raise DataProblemsError(f"{prediction_name}: not scored", problems) from error
    check_pixels_of_truth(truth.table, overlaps, truth_name, remarks)
    check_pixels_of_prediction(prediction.table, overlaps, prediction_name, problems, remarks)
    if problems:
        raise DataProblemsError(f"{prediction_name}: not scored", problems)
    return _frame(truth, prediction, overlaps) if exact else _repaired(truth, prediction, overlaps)


def pair_missing(
    truth_ids: Integer[np.ndarray, "h w"],
    truth_segments: Sequence[Any],
    categories: Categories,
    exact: bool,
    remarks: Remarks,
    truth_name: str = "truth",
) -> FramePair:
    """A frame without a prediction, scored as if all of it were predicted void."""
    nothing = np.zeros(truth_ids.shape, np.int32)
    return pair_coco(
        nothing, (), truth_ids, truth_segments, categories, exact, remarks, truth_name=truth_name
    )


class _Listing(NamedTuple):
    """One side's segments, and the category of the last entry of each."""

    table: SegmentTable
    last: Int64[np.ndarray, "n"]

    @classmethod
    def of(cls, panoptic: PanopticMap) -> "_Listing":
        segments = panoptic.segments
        table = SegmentTable(
            ids=np.array([segment.id for segment in segments], dtype=np.int64),
            categories=np.array([segment.category for segment in segments], dtype=np.int64),
            crowd=np.array([segment.is_crowd for segment in segments], dtype=np.bool_),
            areas=np.array([segment.area for segment in segments], dtype=np.float64),
        )
        return cls(table, table.categories)


def _frame(true: _Listing, predicted: _Listing, overlaps: Overlaps) -> FramePair:
    rows = rows_of(overlaps.prediction_ids, predicted.table.ids)
    areas = overlaps.prediction_areas[rows].astype(np.float64)
    return FramePair(
        true.table,
        predicted.table._replace(areas=areas),
        overlaps.truth_ids[overlaps.truth_index],
        overlaps.prediction_ids[overlaps.prediction_index],
        overlaps.pixels,
        true.last,
        predicted.last,
    )


def _repaired(true: _Listing, predicted: _Listing, overlaps: Overlaps) -> FramePair:
    """Areas counted; what is listed without pixels or of an unknown category left out; the unlisted void."""
    areas = areas_of(true.table, overlaps)
    keep = (areas > 0) & (true.table.categories >= 0)
    table = SegmentTable(*(column[keep] for column in true.table._replace(areas=areas)))
    pair = _frame(_Listing(table, true.last[keep]), predicted, overlaps)
    listed = rows_of(table.ids, pair.truth_ids) >= 0
    return pair._replace(truth_ids=np.where(listed, pair.truth_ids, 0))


def _listed(
    segments: Sequence[Any],
    categories: Categories,
    name: str,
    problems: list[str],
    remarks: Remarks,
    *,
    of_truth: bool,
) -> _Listing:
    """The segments of one `segments_info`, in the order of first mention."""
    keys = {"id", "category_id", "iscrowd"} if of_truth else {"id", "category_id"}
    rows: dict[int, tuple[int, bool, float]] = {}
    last: dict[int, int] = {}
    for position, entry in enumerate(segments):
        fault = _fault(entry, position, keys)
        if fault is not None:
            problems.append(f"{name}: {fault}")
            continue
        id, category = int(entry["id"]), _category(entry, categories)
        if category < 0:
            text = (
                f"{name}: segment {id} has category_id {entry['category_id']!r}, "
                f"which {categories.name} does not have"
            )
            if of_truth:
                remarks.add("unknown category", f"{text}; it counts nowhere")
            else:
                problems.append(text)
        area = entry.get("area", np.nan) if of_truth else np.nan
        area = as_float(area) if isinstance(area, int | float) else np.nan
        last[id] = category
        if id in rows:
            remarks.add("repeated id", f"{name}: id {id} is listed more than once; the first entry counts")
            first = rows[id]
            rows[id] = (first[0], first[1], first[2] + area)
        else:
            rows[id] = (category, bool(of_truth and entry["iscrowd"] == 1), area)
    table = SegmentTable(
        ids=np.array(list(rows), dtype=np.int64),
        categories=np.array([row[0] for row in rows.values()], dtype=np.int64),
        crowd=np.array([row[1] for row in rows.values()], dtype=np.bool_),
        areas=np.array([row[2] for row in rows.values()], dtype=np.float64),
    )
    return _Listing(table, np.array([last[id] for id in rows], dtype=np.int64))


def _fault(entry: Any, position: int, keys: set[str]) -> str | None:
    """What is wrong with one entry, None where it can be used."""
    if not isinstance(entry, Mapping):
        return f"entry {position} of segments_info is not an object"
    label = f"segment {entry['id']!r}" if "id" in entry else f"entry {position} of segments_info"
    missing = sorted(keys - entry.keys())
    if missing:
        return f"{label} lacks {' and '.join(missing)}"
    id = entry["id"]
    if not isinstance(id, int | float) or id != id or abs(id) >= ID_LIMIT or id != int(id) or id < 0:
        return f"{label} has an id that is not a whole number of 1..{ID_LIMIT - 1}"
    if id == 0:
        return "segments_info lists id 0, which is void; give the segment another id"
    return None


def _category(entry: Mapping[str, Any], categories: Categories) -> int:
    category_id = entry["category_id"]
    if not isinstance(category_id, int | float):
        return -1
    return categories.dataset_index.get(category_id, -1)  # type: ignore[arg-type] # 1.0 is as good as 1
