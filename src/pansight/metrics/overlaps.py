"""How many pixels each segment of one map shares with each of another: the table under every metric."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer

from pansight.errors import InputError
from pansight.panoptic.ids import ID_LIMIT

_ID_BITS = 24
_LENGTH_BITS = 15
_LONGEST_RUN = 1 << (_LENGTH_BITS - 1)
"""Longer runs are cut, so that two ids and a length fill the 63 bits of one positive number."""


class Overlaps(NamedTuple):
    """The non-empty intersections of two id maps; k of them, sorted by truth id, then prediction id.

    `truth_ids` [n] and `prediction_ids` [m]: the ids found in the maps, ascending, 0 among them if it is
    there; `truth_areas`, `prediction_areas`: their pixels. `truth_index`, `prediction_index` [k]: positions
    therein of the two sides of an intersection; `pixels` [k]: its size. All int64.
    """

    truth_ids: Int64[np.ndarray, "n"]
    truth_areas: Int64[np.ndarray, "n"]
    prediction_ids: Int64[np.ndarray, "m"]
    prediction_areas: Int64[np.ndarray, "m"]
    truth_index: Int64[np.ndarray, "k"]
    prediction_index: Int64[np.ndarray, "k"]
    pixels: Int64[np.ndarray, "k"]


def count_overlaps(
    truth: Integer[np.ndarray, "truth_h truth_w"], prediction: Integer[np.ndarray, "h w"]
) -> Overlaps:
    """Count the pixels that each pair of ids shares; ids are 0..2**24-1, of any integer type.

    Maps come in runs: along the rows, the pair of ids rarely changes. So the full-size work is one comparison
    of neighbours per map, and only the runs (some 2 % of the pixels) are sorted and summed. A run is one
    number, truth id | prediction id | length: sorting values is several times faster than sorting positions.

    Raises InputError when the maps differ in size or an id is out of range.
    """
    if truth.shape != prediction.shape:
        raise InputError(
            f"the prediction is {prediction.shape[1]} x {prediction.shape[0]} pixels, "
            f"the truth {truth.shape[1]} x {truth.shape[0]}; predict at the size of the truth"
        )
    flat_truth, flat_prediction = truth.ravel(), prediction.ravel()
    if not flat_truth.size:
        empty = np.zeros(0, dtype=np.int64)
        return Overlaps(empty, empty, empty, empty, empty, empty, empty)
    changes = flat_truth[1:] != flat_truth[:-1]
    changes |= flat_prediction[1:] != flat_prediction[:-1]
    changes[_LONGEST_RUN - 1 :: _LONGEST_RUN] = True
    ends = np.flatnonzero(changes)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends + 1))
    lengths = np.diff(starts, append=flat_truth.size)
    run_truth = flat_truth[starts].astype(np.int64)
    run_prediction = flat_prediction[starts].astype(np.int64)
    for ids in (run_truth, run_prediction):
        if int(ids.min()) < 0 or int(ids.max()) >= ID_LIMIT:
            raise InputError(
                f"segment ids {int(ids.min())}..{int(ids.max())} in a map; "
                f"renumber them into 0..{ID_LIMIT - 1}"
            )

    runs = np.sort((run_truth << (_ID_BITS + _LENGTH_BITS)) | (run_prediction << _LENGTH_BITS) | lengths)
    codes = runs >> _LENGTH_BITS
    firsts = _group_starts(codes)
    pixels = np.add.reduceat(runs & ((1 << _LENGTH_BITS) - 1), firsts)
    codes = codes[firsts]
    pair_truth = codes >> _ID_BITS
    truth_firsts = _group_starts(pair_truth)
    truth_index = np.repeat(
        np.arange(len(truth_firsts), dtype=np.int64), np.diff(truth_firsts, append=len(codes))
    )
    prediction_ids, prediction_index = np.unique(codes & (ID_LIMIT - 1), return_inverse=True)
    prediction_areas = np.zeros(len(prediction_ids), dtype=np.int64)
    np.add.at(prediction_areas, prediction_index, pixels)
    return Overlaps(
        truth_ids=pair_truth[truth_firsts],
        truth_areas=np.add.reduceat(pixels, truth_firsts),
        prediction_ids=prediction_ids,
        prediction_areas=prediction_areas,
        truth_index=truth_index,
        prediction_index=prediction_index.astype(np.int64, copy=False),
        pixels=pixels,
    )


def _group_starts(values: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "groups"]:
    """Where each group of equal values begins in a sorted, non-empty array."""
    first = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return np.flatnonzero(first)
