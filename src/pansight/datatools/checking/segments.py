"""One annotation: what its `segments_info` says, compared with the pixels of its panoptic PNG."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.numbers import measure, whole
from pansight.datatools.checking.tables import Classes
from pansight.panoptic.ids import ID_LIMIT
from pansight.panoptic.regions import Regions


@dataclass(slots=True)
class Row:
    """A segment of the JSON as far as it can be understood; `source` is the row as it stands there."""

    source: Any
    id: int | None
    category: int | None
    crowd: bool

    @property
    def usable(self) -> bool:
        """Whether the row names a segment and a category at all."""
        return self.id is not None and self.category is not None


def read_rows(segments: list[Any], classes: Classes, notes: Notes) -> list[Row]:
    """Read `segments_info`, and note what is wrong with it by itself."""
    rows = []
    for position, source in enumerate(segments):
        if not isinstance(source, dict):
            notes.add(kinds.SEGMENT_MALFORMED, f"segment {position} is not an object", fixable=True)
            rows.append(Row(source, None, None, False))
            continue
        id, category = whole(source.get("id")), whole(source.get("category_id"))
        crowd = whole(source.get("iscrowd"), flag=True)
        where = f"segment {position}" if id.value is None else f"segment {id.value}"
        for key, number in (("id", id), ("category_id", category)):
            if number.value is None:
                notes.add(kinds.SEGMENT_MALFORMED, f"{key} of {where} {number.fault}", fixable=True)
            elif number.fault:
                notes.add(kinds.NUMBER_TYPE, f"{key} of {where} {number.fault}", fixable=True)
        if "iscrowd" not in source:
            notes.add(kinds.CROWD_MISSING, where, fixable=True)
        elif crowd.fault or crowd.value not in (0, 1):
            fault = crowd.fault or f"is {crowd.value}, not 0 or 1"
            known = crowd.value in (0, 1) or source["iscrowd"] is None
            notes.add(kinds.NUMBER_TYPE, f"iscrowd of {where} {fault}", fixable=known)
        if category.value is not None and not classes.known(category.value):
            notes.add(kinds.CATEGORY_UNKNOWN, f"{where} is of category {category.value}")
        rows.append(Row(source, id.value, category.value, crowd.value == 1))
    return rows


def check_rows(rows: list[Row], classes: Classes, regions: Regions | None, void: int, notes: Notes) -> None:
    """Check the rows against each other and, where the panoptic PNG could be read, against its pixels.

    `regions`: what is in the panoptic PNG; `void`: the number of its pixels with id 0.
    """
    present = {} if regions is None else {id: n for n, id in enumerate(regions.ids.tolist())}
    by_id: dict[int, list[Row]] = {}
    for row in rows:
        if row.id is not None:
            by_id.setdefault(row.id, []).append(row)
    for id, same in by_id.items():
        if len(same) > 1:
            alike = len({(row.category, row.crowd) for row in same}) == 1
            notes.add(kinds.ID_REPEATED, f"segment {id} ({len(same)} times)", fixable=alike)
        if id == 0:
            notes.add(kinds.ID_ZERO, f"of {_called(same[0], classes)}", fixable=True)
        elif not 0 < id < ID_LIMIT:
            notes.add(kinds.ID_RANGE, f"segment {id}", fixable=True)
        elif regions is not None and id not in present:
            notes.add(kinds.SEGMENT_ABSENT, f"segment {id} of {_called(same[0], classes)}", fixable=True)
    _check_repeats(rows, classes, present if regions is not None else None, notes)
    if regions is None:
        return
    # A row whose id does not fit in three bytes still lists the pixels that it was written as.
    listed = {id % ID_LIMIT for id in by_id}
    for id, position in present.items():
        if id not in listed:
            notes.add(kinds.PIXELS_UNLISTED, f"id {id} ({int(regions.areas[position])} pixels)", fixable=True)
    for id, same in by_id.items():
        if id in present:
            area, box = int(regions.areas[present[id]]), regions.boxes[present[id]]
        elif id == 0 and void:
            area, box = void, None
        else:
            continue
        for row in same[:1]:
            _check_measures(row, area, box, notes)


def _check_repeats(rows: list[Row], classes: Classes, present: dict[int, int] | None, notes: Notes) -> None:
    crowds: Counter[int] = Counter()
    stuff: Counter[int] = Counter()
    seen = set()
    # an id with two meanings is named as such, and its segments cannot be joined with others
    meanings = {(row.id, row.category, row.crowd) for row in rows if row.usable}
    times = Counter(id for id, _, _ in meanings)
    for row in rows:
        if not row.usable or row.id in seen or (present is not None and row.id not in present):
            continue
        assert row.category is not None
        seen.add(row.id)
        if row.crowd:
            crowds[row.category] += times[row.id] == 1
            if classes.is_stuff(row.category):
                notes.add(kinds.CROWD_STUFF, f"segment {row.id} of {_called(row, classes)}")
        elif classes.is_stuff(row.category):
            stuff[row.category] += times[row.id] == 1
    for kind, found in ((kinds.CROWD_REPEATED, crowds), (kinds.STUFF_REPEATED, stuff)):
        for category, count in found.items():
            if count > 1:
                joins = classes.joins(category, kind is kinds.CROWD_REPEATED)
                notes.add(kind, f"{count} of {classes.name(category)!r}", fixable=joins)


def _check_measures(row: Row, area: int, box: Int64[np.ndarray, "4"] | None, notes: Notes) -> None:
    source = row.source
    listed, fault = measure(source.get("area"))
    if fault:
        notes.add(kinds.AREA_WRONG, f"area of segment {row.id} {fault}", fixable=True)
    elif listed != area:
        notes.add(kinds.AREA_WRONG, f"segment {row.id}: {source['area']}, pixels {area}", fixable=True)
    if box is None:
        return
    right = box.tolist()
    found = source.get("bbox")
    if found is None or found == []:
        notes.add(
            kinds.BOX_WRONG, f"segment {row.id} has {'an empty' if found == [] else 'no'} box", fixable=True
        )
        return
    sides = [measure(side) for side in found] if isinstance(found, list) else []
    if len(sides) != 4 or any(fault for _, fault in sides):
        notes.add(kinds.BOX_WRONG, f"box of segment {row.id} is {found!r:.60}", fixable=True)
    elif [side for side, _ in sides] != right:
        short = [right[0], right[1], right[2] - 1, right[3] - 1]
        hint = " (one pixel short)" if [side for side, _ in sides] == short else ""
        notes.add(kinds.BOX_WRONG, f"segment {row.id}: {found}, pixels {right}{hint}", fixable=True)


def _called(row: Row, classes: Classes) -> str:
    return repr(classes.name(row.category)) if row.category is not None else "no category"
