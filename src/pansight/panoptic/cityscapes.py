"""Cityscapes `instanceIds` as rows of a map, and a map's segments as their values.

Source: cityscapesscripts, helpers/labels.py and preparation/json2instanceImg.py.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.panoptic.regions import measure_regions
from pansight.panoptic.segment import Segment

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""labelId of the 19 evaluated Cityscapes classes by trainId."""

_PER_CLASS = 1000
"""Object n of a class is written as labelId * 1000 + n."""


def values_of(
    segments: Sequence[Segment], categories: Categories, label_ids: Sequence[int] | None
) -> list[int]:
    """The value of each segment; see `PanopticMap.to_cityscapes`."""
    labels = _labels(categories, label_ids)
    counts = [0] * len(labels)
    values = []
    for segment in segments:
        label = labels[segment.category]
        if segment.is_crowd or not categories[segment.category].is_thing:
            values.append(label)
            continue
        if counts[segment.category] == _PER_CLASS:
            raise InputError(
                f"more than {_PER_CLASS} objects of {categories[segment.category].name!r} "
                "cannot be written as Cityscapes ids; write COCO instead"
            )
        values.append(label * _PER_CLASS + counts[segment.category])
        counts[segment.category] += 1
    return values


def table_of(
    ids: Int32[np.ndarray, "h w"], categories: Categories, label_ids: Sequence[int] | None
) -> list[tuple[int, int, None, bool]]:
    """Rows (id, category, no score, crowd) of the values of `ids` that `categories` has, ascending."""
    index = {label: category for category, label in enumerate(_labels(categories, label_ids))}
    table = []
    for value in measure_regions(ids).ids.tolist():
        category = index.get(value // _PER_CLASS if value >= _PER_CLASS else value)
        if category is not None:
            table.append((value, category, None, value < _PER_CLASS and categories[category].is_thing))
    return table


def _labels(categories: Categories, label_ids: Sequence[int] | None) -> list[int]:
    labels = [int(label) for label in (categories.dataset_ids if label_ids is None else label_ids)]
    if len(labels) != len(categories) or len(set(labels)) != len(labels):
        raise CategoryError(
            f"{categories.name} needs {len(categories)} different label ids, one per category"
        )
    if any(not 0 < label < _PER_CLASS for label in labels):
        raise CategoryError(
            f"label ids {min(labels)}..{max(labels)} of {categories.name} do not fit Cityscapes; use 1..999"
        )
    return labels
