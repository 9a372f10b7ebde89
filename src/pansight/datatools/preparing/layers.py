"""Overlapping regions to one id per pixel: drawn one over the other, so that the last one shows."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from pansight.categories import Categories
from pansight.panoptic import VOID, PanopticMap


class Layer(NamedTuple):
    """A region to draw. Layers with the same `key` are one segment; `category` None makes pixels void."""

    mask: Bool[np.ndarray, "h w"]
    category: int | None
    key: object
    is_crowd: bool = False
    score: float | None = None


def stuff_key(category: int) -> object:
    """The key of the layers of a stuff category, which are one segment."""
    return ("stuff", category)


def paint_layers(
    layers: Iterable[Layer],
    categories: Categories,
    height: int,
    width: int,
    ground: PanopticMap | None = None,
) -> PanopticMap:
    """Paint `layers` in order over `ground` (void by default); ids are counted on from those of `ground`.

    A region that is wholly covered is no longer a segment. One mask is held at a time.
    """
    ids: Int32[np.ndarray, "h w"] = np.full((height, width), VOID, np.int32)
    table: list[tuple[int, int, float | None, bool]] = []
    if ground is not None:
        ids[:] = ground.ids
        table = [(row.id, row.category, row.score, row.is_crowd) for row in ground.segments]
    following = max((row[0] for row in table), default=0) + 1
    known: dict[object, int] = {}
    if ground is not None:  # more of a stuff category is more of the same segment
        known = {
            stuff_key(row.category): row.id
            for row in ground.segments
            if not categories[row.category].is_thing
        }
    for layer in layers:
        if layer.category is None:
            ids[layer.mask] = VOID
            continue
        if layer.key not in known:
            known[layer.key] = following
            table.append((following, layer.category, layer.score, layer.is_crowd))
            following += 1
        ids[layer.mask] = known[layer.key]
    return PanopticMap.from_table(ids, table, categories)
