"""From the `segments_info` of one COCO panoptic annotation to a checked `SegmentTable`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.coco_files import is_crowd_flag
from pansight.metrics.matching import SegmentTable, areas_of, rows_of
from pansight.metrics.overlaps import Overlaps
from pansight.metrics.remarks import Remarks

_OF_PREDICTION = frozenset({"id", "category_id"})
_OF_TRUTH = _OF_PREDICTION | {"iscrowd"}

_LARGEST_ID = 1 << 53
"""Ids are whole numbers; beyond this a JSON float is none any more."""


def read_truth(
    segments_info: Sequence[Any], categories: Categories, name: str, problems: list[str], remarks: Remarks
) -> SegmentTable:
    """The table of the true segments. Wants `id`, `category_id`, `iscrowd` of each; `area` may be missing.

    Whatever cannot be scored is appended to `problems`, what looks wrong to `remarks`; both say `name`.
    """
    rows = _by_id(segments_info, _OF_TRUTH, name, problems, remarks)
    known = {}
    crowds = {}
    for id, row in rows.items():
        known[id] = _category(row, categories)
        if known[id] < 0:
            remarks.add(
                "unknown category",
                f"{name}: segment {id} has category_id {row['category_id']!r}, "
                f"which {categories.name} does not have; it counts nowhere",
            )
        crowds[id] = False
        try:
            # any number but 1 is not a crowd to the reference evaluator, whose scores these are
            number = isinstance(row["iscrowd"], int | float)
            crowds[id] = row["iscrowd"] == 1 if number else is_crowd_flag(row["iscrowd"])
        except DataError as error:
            problems.append(f"{name}: segment {id}: {error}")
        if isinstance(row["iscrowd"], str):
            remarks.add(
                "odd iscrowd",
                f"{name}: segment {id} has iscrowd {row['iscrowd']!r}, a string; taken as {int(crowds[id])}",
            )
    areas = []
    for id, row in rows.items():
        area = row.get("area", float("nan"))
        if not isinstance(area, (int, float)):
            problems.append(f"{name}: segment {id} has area {area!r}, which is not a number")
            area = float("nan")
        areas.append(as_float(area))
    return SegmentTable(
        ids=np.array(list(rows), dtype=np.int64),
        categories=np.array(list(known.values()), dtype=np.int64),
        crowd=np.array(list(crowds.values()), dtype=np.bool_),
        areas=np.array(areas, dtype=np.float64),
    )


def read_prediction(
    segments_info: Sequence[Any], categories: Categories, name: str, problems: list[str], remarks: Remarks
) -> SegmentTable:
    """The table of the predicted segments. Wants `id` and `category_id` of each, and ignores the rest."""
    rows = _by_id(segments_info, _OF_PREDICTION, name, problems, remarks)
    known = {id: _category(row, categories) for id, row in rows.items()}
    problems += [
        f"{name}: segment {id} has category_id {rows[id]['category_id']!r}, "
        f"which {categories.name} does not have"
        for id, category in known.items()
        if category < 0
    ]
    return SegmentTable(
        ids=np.array(list(rows), dtype=np.int64),
        categories=np.array(list(known.values()), dtype=np.int64),
        crowd=np.zeros(len(rows), dtype=np.bool_),
        areas=np.full(len(rows), np.nan),
    )


def check_pixels_of_truth(truth: SegmentTable, overlaps: Overlaps, name: str, remarks: Remarks) -> None:
    """Remark where map and list of the truth disagree: it can be scored, in exact mode with odd results."""
    row = rows_of(truth.ids, overlaps.truth_ids)
    unlisted = overlaps.truth_ids[(row < 0) & (overlaps.truth_ids != 0)]
    if len(unlisted):
        remarks.add("unlisted id", f"{name}: {_ids(unlisted)} in the PNG but not in segments_info")
    areas = areas_of(truth, overlaps)
    for index in np.flatnonzero(~np.isnan(truth.areas) & (truth.areas != areas) & (areas > 0)):
        remarks.add(
            "wrong area",
            f"{name}: segment {truth.ids[index]} has area {truth.areas[index]:g} "
            f"in the JSON, {areas[index]:g} in the PNG",
        )
    if (areas == 0).any():
        remarks.add("no pixels", f"{name}: {_ids(truth.ids[areas == 0])} in segments_info but not in the PNG")
    if (truth.ids == 0).any():
        remarks.add("id 0 listed", f"{name}: id 0 is void, yet segments_info lists it")


def check_pixels_of_prediction(
    prediction: SegmentTable, overlaps: Overlaps, name: str, problems: list[str], remarks: Remarks
) -> None:
    """Append to `problems` the ids that map and list of the prediction do not share."""
    found = overlaps.prediction_ids
    unlisted = found[(rows_of(prediction.ids, found) < 0) & (found != 0)]
    if len(unlisted):
        problems.append(f"{name}: {_ids(unlisted)} in the PNG but not in segments_info")
    empty = prediction.ids[rows_of(found, prediction.ids) < 0]
    if len(empty):
        problems.append(f"{name}: {_ids(empty)} in segments_info but not in the PNG")
    if (prediction.ids == 0).any():
        remarks.add("id 0 listed", f"{name}: id 0 is void, yet segments_info lists it")


def check_crowds(
    truth: SegmentTable, categories: Categories, name: str, exact: bool, remarks: Remarks
) -> None:
    """Remark where a category has several crowd regions, of which the reference sees the last one only."""
    if np.count_nonzero(truth.crowd) < 2:
        return
    crowds = truth.categories[truth.crowd & (truth.categories >= 0)]
    for category in np.flatnonzero(np.bincount(crowds) > 1).tolist():
        count = (
            "only the last one listed counts here"
            if exact
            else "all count here, the last one in the reference"
        )
        remarks.add(
            "repeated crowd",
            f"{name}: {np.count_nonzero(crowds == category)} crowd regions of "
            f"{categories[category].name}; {count}",
        )


def without(table: SegmentTable, drop: np.ndarray) -> SegmentTable:
    """The table less the rows where `drop` is true."""
    return SegmentTable(*(column[~drop] for column in table)) if drop.any() else table


def _by_id(
    segments_info: Sequence[Any], keys: frozenset[str], name: str, problems: list[str], remarks: Remarks
) -> dict[int, Mapping[str, Any]]:
    """The well-formed entries by id: in the order of first mention, the last entry of an id winning."""
    rows: dict[int, Mapping[str, Any]] = {}
    for position, entry in enumerate(segments_info):
        if not (isinstance(entry, dict) and keys <= entry.keys() and _is_whole(entry["id"])):
            problems.append(f"{name}: {_fault(entry, position, keys)}")
            continue
        id = int(entry["id"])
        if id in rows:
            remarks.add("repeated id", f"{name}: id {id} is listed more than once; the last entry counts")
        rows[id] = entry
    return rows


def _is_whole(id: Any) -> bool:
    return isinstance(id, int | float) and abs(id) < _LARGEST_ID and id == int(id)


def _fault(entry: Any, position: int, keys: frozenset[str]) -> str:
    if not isinstance(entry, dict):
        return f"entry {position} of segments_info is not an object"
    label = f"segment {entry['id']!r}" if "id" in entry else f"entry {position} of segments_info"
    missing = sorted(keys - entry.keys())
    return (
        f"{label} lacks {' and '.join(missing)}"
        if missing
        else f"{label} has an id that is not a whole number"
    )


def _category(row: Mapping[str, Any], categories: Categories) -> int:
    category_id = row["category_id"]
    # A list or object is not a key of a dictionary, and no category either; 1.0 is as good a key as 1.
    return categories.dataset_index.get(category_id, -1) if isinstance(category_id, int | float) else -1  # type: ignore[arg-type]


def as_float(number: int | float) -> float:
    """A number of a JSON, which may be too large for a float: infinite then."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _ids(ids: np.ndarray) -> str:
    """ "id 7 is" or "ids 5, 6, 7 are", for the beginning of a sentence; long lists are cut."""
    shown = ", ".join(str(id) for id in ids[:10].tolist())
    if len(ids) > 10:
        shown += f" and {len(ids) - 10} more"
    return f"id {shown} is" if len(ids) == 1 else f"ids {shown} are"
