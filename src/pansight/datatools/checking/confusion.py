"""Category ids of one numbering read by another: label ids, train ids, ids shifted by one.

Most ids of the wrong numbering exist in the right one, too, and mean another category there. Nothing fails,
and the scores are bad: it shows in the few ids that do not exist, in ids that carry a label, and in pixels.
"""

import re
from collections.abc import Mapping

from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.tables import Classes, same_table

STREET_LABELS = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road",
    "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel",
    "pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider",
    "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The labels of Cityscapes by label id (cityscapesScripts, helpers/labels.py)."""

_VOID_LABELS = 7
"""Labels with lower ids are not categories: nothing is evaluated there, and no segment is written."""

_TRAIN_IDS = 19

_HIGH = ("sky", "ceiling")
_LOW = ("road", "floor", "sidewalk", "pavement", "ground", "grass")
"""Words in the names of what lies above, and below, in nearly any image."""

_ENOUGH = 5
"""Images that a category must occur in before its place says anything."""


def check_table_ids(classes: Classes, notes: Notes) -> None:
    """A table that has the ids of a known data set must mean the same by them."""
    table = same_table(classes)
    if table is None or not set(classes.names) <= set(table.dataset_index):
        return
    for id, name in classes.names.items():
        right = table[table.dataset_index[id]].name
        if right != name and name in table.names:
            notes.add(kinds.LABEL_IDS, f"id {id} is {name!r} here, {right!r} in {table.name}")


def check_used_ids(classes: Classes, used: Mapping[int, int], notes: Notes) -> None:
    """Compare the category ids of the segments with the declared ones; `used`: segments by category id."""
    if not classes.declared or not used:
        return
    declared = set(classes.names)
    void = [f"{classes.names[id]!r}" for id in sorted(used) if 0 <= id < _VOID_LABELS and id in declared]
    if void and _is_label_table(classes) and all(id < _TRAIN_IDS for id in used):
        notes.add(
            kinds.LABEL_IDS,
            f"segments use train ids, the table label ids: there are segments of {', '.join(void[:3])}, "
            f"and none of an id above {max(used)}",
        )
        return
    strangers = sorted(set(used) - declared)
    if not strangers:
        return
    known = same_table(classes)
    reason = ""
    if declared != set(range(len(declared))) and all(0 <= id < len(declared) for id in used):
        reason = f"contiguous train ids 0..{len(declared) - 1}"
    elif known is not None and set(used) <= set(known.dataset_index):
        reason = f"the ids of {known.name}"
    elif len(declared) > 1 and {id + 1 for id in used} <= declared:
        reason = "ids one too small"
    elif len(declared) > 1 and {id - 1 for id in used} <= declared:
        reason = "ids one too large"
    if reason:
        shown = ", ".join(map(str, strangers[:6])) + (" ..." if len(strangers) > 6 else "")
        notes.add(
            kinds.LABEL_IDS,
            f"segments use {reason}, the table others (not declared: {shown}); ids that are in both mean "
            "the wrong category",
        )


def check_street_ids(classes: Classes, pairs: Mapping[tuple[int, int], int], notes: Notes) -> None:
    """Compare the segment ids that the tools of Cityscapes write with the categories of the segments.

    `pairs`: how many segments have each (label in the segment id, category id), see `label_of`. The tools
    number segments by labels whatever numbering the categories have (cityscapesScripts,
    createPanopticImgs.py), so the two can be compared.
    """
    street = set(STREET_LABELS)
    total = sum(pairs.values())
    if (
        not total
        or not classes.names
        or sum(name in street for name in classes.names.values()) < 0.8 * len(classes.names)
    ):
        return
    if (
        sum(count for (label, _), count in pairs.items() if _VOID_LABELS <= label < len(STREET_LABELS))
        < 0.98 * total
    ):
        return
    wrong = [
        (count, STREET_LABELS[label], classes.name(category))
        for (label, category), count in pairs.items()
        if 0 <= label < len(STREET_LABELS) and STREET_LABELS[label] != classes.name(category)
    ]
    for count, label, name in sorted(wrong, reverse=True):
        notes.add(
            kinds.LABEL_IDS, f"segments that are {label!r} by their ids are {name!r} by category_id ({count})"
        )


def label_of(segment_id: int) -> int:
    """The label in a segment id of Cityscapes: the id itself, or id // 1000 for single objects."""
    return segment_id // 1000 if segment_id >= 1000 else segment_id


def check_places(classes: Classes, heights: Mapping[int, tuple[float, int]], notes: Notes) -> None:
    """Look for sky below the road.

    `heights`: for each category the mean height of its pixels (0 top, 1 bottom) and the images that it
    occurs in.
    """
    above, below = _found(classes, heights, _HIGH), _found(classes, heights, _LOW)
    if above and below:
        (high, upper), (low, lower) = max(above), min(below)
        if high > low + 0.1:
            notes.add(
                kinds.LABELS_ODD,
                f"{upper!r} lies below {lower!r} (at {high:.0%} and {low:.0%} of the height, from the top)",
            )


def _found(
    classes: Classes, heights: Mapping[int, tuple[float, int]], words: tuple[str, ...]
) -> list[tuple[float, str]]:
    """Height and name of the stuff with one of these words in its name, if there is enough of it."""
    return [
        (height, classes.name(id))
        for id, (height, pictures) in heights.items()
        if pictures >= _ENOUGH
        and classes.is_stuff(id)
        and set(re.split(r"[^a-z]+", classes.name(id).lower())).intersection(words)
    ]


def _is_label_table(classes: Classes) -> bool:
    """Whether the table has the label ids of Cityscapes, ids without evaluation among them."""
    known = [STREET_LABELS[id] == name for id, name in classes.names.items() if 0 <= id < len(STREET_LABELS)]
    return len(known) > _VOID_LABELS and sum(known) >= 0.8 * len(classes.names)
