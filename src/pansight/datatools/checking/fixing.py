"""Fixing of one annotation: what follows from the pixels is measured, what is unusable is left out."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from pansight.datatools.checking.document import finite
from pansight.datatools.checking.segments import Row
from pansight.datatools.checking.tables import Classes
from pansight.panoptic.ids import ID_LIMIT
from pansight.panoptic.regions import measure_regions


class Losses(NamedTuple):
    """What fixing removes from labels, and of how much: segments dropped or joined to others, pixels made
    void."""

    segments: int = 0
    dropped: int = 0
    absent: int = 0
    joined: int = 0
    pixels: int = 0
    voided: int = 0
    strange: int = 0

    def __add__(self, other: tuple[int, ...]) -> "Losses":  # type: ignore[override]
        return Losses(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def count_losses(
    rows: list[Row],
    ids: Int32[np.ndarray, "h w"],
    fixed: list[dict[str, Any]],
    fresh: Int32[np.ndarray, "h w"],
    classes: Classes,
) -> Losses:
    """What `fix_annotation` took from an image. `absent`: listed ids without pixels; `strange`: ids of
    pixels that are not listed.
    """
    present = set(np.unique(ids).tolist()) - {0}
    listed = {row.id % ID_LIMIT for row in rows if row.id is not None}
    nameless = sum(row.id is None for row in rows)
    voided = (fresh == 0) & (ids != 0)
    gone = set(np.unique(ids[voided]).tolist())
    joining: Counter[tuple[int, bool]] = Counter()
    for id, category, crowd in {(row.id, row.category, row.crowd) for row in rows}:
        if id in present and id not in gone and category is not None and classes.joins(category, crowd):
            joining[category, crowd] += 1
    kept = Counter((row["category_id"], bool(row["iscrowd"])) for row in fixed)
    unseen = {id for id in listed if id not in present and id != 0}
    return Losses(
        segments=len(listed) + nameless,
        dropped=max(len(unseen) + nameless, len(gone)),
        absent=len(unseen),
        joined=sum(max(count - kept[key], 0) for key, count in joining.items()),
        pixels=int(np.count_nonzero(ids)),
        voided=int(np.count_nonzero(voided)),
        strange=len(present - listed),
    )


def fix_annotation(
    rows: list[Row], ids: Int32[np.ndarray, "h w"], classes: Classes
) -> tuple[list[dict[str, Any]], Int32[np.ndarray, "h w"]]:
    """The rows of `segments_info` and the ids as they should be; the same array if nothing changes.

    Rows without a category, without pixels, or listed twice are dropped; ids that no row lists become void;
    id 0 gets a free id if its area is that of the pixels with 0, an id beyond three bytes the id that it was
    written as; the segments of a stuff category, and the crowds of a category, become one; areas and boxes
    are measured, a missing iscrowd is 0. Segments are not joined where `classes` keeps them apart. What only
    its author can decide (categories that are not declared, one id with two meanings, crowds of
    stuff) stays as it is.
    """
    regions = measure_regions(ids)
    present = set(regions.ids.tolist())
    void = int(ids.size - int(regions.areas.sum()))
    written = {row.id for row in rows if row.id is not None}
    keep: list[tuple[Row, int]] = []
    moves: dict[int, int] = {}
    for row in rows:
        if row.id is None or row.category is None:
            continue
        id = row.id
        if id == 0 and void and _listed_area(row) == void and 0 not in moves:
            id = next(free for free in range(1, ID_LIMIT) if free not in present and free not in written)
            moves[0] = id
        elif not 0 < id < ID_LIMIT:
            id %= ID_LIMIT
            if id in written:
                continue
        elif id not in present:
            continue
        if (id in present or id in moves.values()) and not _said_before(row, id, keep):
            keep.append((row, id))
    keep = _merged(keep, classes, moves)
    listed = {id for _, id in keep}
    moves |= {id: 0 for id in present if id not in listed and id not in moves}
    fresh = _moved(ids, moves)
    regions = measure_regions(fresh) if moves else regions
    at = {id: position for position, id in enumerate(regions.ids.tolist())}
    fixed = []
    for row, id in keep:
        position = at[id]
        fixed.append(
            {
                **finite(row.source),
                "id": id,
                "category_id": row.category,
                "iscrowd": int(row.crowd),
                "area": int(regions.areas[position]),
                "bbox": regions.boxes[position].tolist(),
            }
        )
    return fixed, fresh


def _listed_area(row: Row) -> Any:
    return row.source.get("area")


def _said_before(row: Row, id: int, keep: list[tuple[Row, int]]) -> bool:
    return any(
        other == id and (before.category, before.crowd) == (row.category, row.crowd) for before, other in keep
    )


def _merged(keep: list[tuple[Row, int]], classes: Classes, moves: dict[int, int]) -> list[tuple[Row, int]]:
    """One segment a stuff category, and one crowd a category: the later ones move into the first."""
    first: dict[tuple[int, bool], int] = {}
    left = []
    # for an id with two meanings it is unknown which pixels to move
    count = Counter(id for _, id in keep)
    for row, id in keep:
        assert row.category is not None
        if count[id] == 1 and classes.joins(row.category, row.crowd):
            target = first.setdefault((row.category, row.crowd), id)
            if target != id:
                # An id that came from 0 has its pixels there still.
                moves |= {old: target for old, new in moves.items() if new == id}
                moves[id] = target
                continue
        left.append((row, id))
    return left


def _moved(ids: Int32[np.ndarray, "h w"], moves: dict[int, int]) -> Int32[np.ndarray, "h w"]:
    if not moves:
        return ids
    found, positions = np.unique(ids, return_inverse=True)
    targets = np.array([moves.get(id, id) for id in found.tolist()], dtype=np.int32)
    return targets[positions].reshape(ids.shape)
