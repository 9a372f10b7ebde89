"""The matching rule of panoptic quality, for one image: which segments are found, missed, false or excused.

Kirillov et al., Panoptic Segmentation (CVPR 2019), sections 4.1-4.3: a predicted and a true segment of one
category match when their IoU is above 0.5. Void pixels do not count in the union; a prediction that matches
nothing is excused when most of it is void or lies in a crowd of its category.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pansight.metrics.overlaps import Overlaps


class SegmentTable(NamedTuple):
    """The listed segments of one map, in the order of the list; ids are unique.

    `categories`: contiguous index, -1 for one that the category set does not have (truth only). `areas`:
    pixels as listed, NaN where not listed; used for truth in exact mode only.
    """

    ids: Int64[np.ndarray, "n"]
    categories: Int64[np.ndarray, "n"]
    crowd: Bool[np.ndarray, "n"]
    areas: Float64[np.ndarray, "n"]


class Matches(NamedTuple):
    """The outcome for one image; rows are positions in the two `SegmentTable`s.

    `truth_rows`, `prediction_rows`, `ious` [k]: the matched pairs, IoU above 0.5. (With wrong listed areas,
    exact mode may match a segment twice or see an IoU above 1, as the reference does.) `missed` [n]: true
    segments that count as false negatives. `false` [m]: predicted segments that count as false positives;
    those neither matched nor false are excused.
    """

    truth_rows: Int64[np.ndarray, "k"]
    prediction_rows: Int64[np.ndarray, "k"]
    ious: Float64[np.ndarray, "k"]
    missed: Bool[np.ndarray, "n"]
    false: Bool[np.ndarray, "m"]


def match_segments(
    overlaps: Overlaps, truth: SegmentTable, prediction: SegmentTable, *, exact: bool
) -> Matches:
    """Match one image. Every listed prediction must have pixels, every predicted id but 0 must be listed.

    exact=True is the reference to the letter: the area of a true segment is the listed one; only the last
    listed crowd of a category excuses; only id 0 is void, so true ids that are not listed are background
    that nobody can match. exact=False counts areas in the map, lets every crowd excuse, and takes unlisted
    true ids as void. The IoU of a pair is NaN when it needs a listed area that is NaN, inf when the union
    is empty.
    """
    truth_row = rows_of(truth.ids, overlaps.truth_ids)
    prediction_row = rows_of(prediction.ids, overlaps.prediction_ids)
    areas = np.zeros(len(prediction.ids), dtype=np.int64)
    areas[prediction_row[prediction_row >= 0]] = overlaps.prediction_areas[prediction_row >= 0]
    is_void = overlaps.truth_ids == 0 if exact else truth_row < 0
    if exact:
        truth_areas = truth.areas
        excusing = _last_of_each_category(truth)
    else:
        truth_areas = areas_of(truth, overlaps)
        excusing = truth.crowd

    # Intersections whose predicted side is listed: all but those with unlabelled pixels.
    listed = prediction_row[overlaps.prediction_index] >= 0
    in_void = is_void[overlaps.truth_index[listed]]
    pixels = overlaps.pixels[listed]
    t = truth_row[overlaps.truth_index[listed]]
    p = prediction_row[overlaps.prediction_index[listed]]
    void = _sum_by(p[in_void], pixels[in_void], len(areas))

    # An unknown category is -1 in truth and never occurs in a prediction, so it matches nothing.
    alike = t >= 0
    alike[alike] = truth.categories[t[alike]] == prediction.categories[p[alike]]
    t, p, pixels = t[alike], p[alike], pixels[alike]
    excused = excusing[t]
    ignored = void + _sum_by(p[excused], pixels[excused], len(areas))

    candidate = ~truth.crowd[t]
    t, p, pixels = t[candidate], p[candidate], pixels[candidate]
    union = areas[p] + truth_areas[t] - pixels - void[p]
    with np.errstate(divide="ignore"):
        iou = pixels / union
    match = ~(iou <= 0.5)  # Keeps NaN, for the caller to report.
    found = np.zeros(len(truth.ids), dtype=np.bool_)
    found[t[match]] = True
    matched = np.zeros(len(areas), dtype=np.bool_)
    matched[p[match]] = True
    return Matches(
        truth_rows=t[match],
        prediction_rows=p[match],
        ious=iou[match],
        missed=~truth.crowd & ~found,
        false=~matched & ~(ignored / areas > 0.5),
    )


def rows_of(listed: Int64[np.ndarray, "n"], wanted: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "m"]:
    """Position of each wanted id among the listed ones, which are unique; -1 where it is not listed."""
    if not len(listed):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(listed)
    place = np.minimum(np.searchsorted(listed, wanted, sorter=order), len(listed) - 1)
    rows = order[place]
    rows[listed[rows] != wanted] = -1
    return rows


def areas_of(truth: SegmentTable, overlaps: Overlaps) -> Float64[np.ndarray, "n"]:
    """Pixels of each listed true segment, counted in the map."""
    rows = rows_of(truth.ids, overlaps.truth_ids)
    areas = np.zeros(len(truth.ids))
    areas[rows[rows >= 0]] = overlaps.truth_areas[rows >= 0]
    return areas


def _last_of_each_category(truth: SegmentTable) -> Bool[np.ndarray, "n"]:
    """True at the last listed crowd of each category: the reference's dictionary keeps no other."""
    last = {int(truth.categories[row]): int(row) for row in np.flatnonzero(truth.crowd)}
    keep = np.zeros(len(truth.ids), dtype=np.bool_)
    keep[list(last.values())] = True
    return keep


def _sum_by(
    rows: Int64[np.ndarray, "k"], values: Int64[np.ndarray, "k"], length: int
) -> Int64[np.ndarray, "length"]:
    sums = np.zeros(length, dtype=np.int64)
    np.add.at(sums, rows, values)
    return sums
