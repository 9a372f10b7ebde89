"""What a map demands of its ids and segments, and the words for what is wrong."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Shaped

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.panoptic.ids import ID_LIMIT
from pansight.panoptic.segment import Segment


def checked_ids(ids: Shaped[np.ndarray, "..."]) -> Int32[np.ndarray, "h w"]:
    """A read-only int32 [h, w] view of `ids`, or a copy where its dtype or layout asks for one."""
    array = np.asarray(ids)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"ids of a panoptic map must be integers [h, w], not {array.dtype} {list(array.shape)}"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) >= ID_LIMIT):
        raise InputError(
            f"ids of a panoptic map must be 0..{ID_LIMIT - 1}, not {array.min()}..{array.max()}; "
            "renumber them"
        )
    checked = np.ascontiguousarray(array, dtype=np.int32).view()
    checked.flags.writeable = False
    return checked


def check_segments(
    found: Int32[np.ndarray, "n"], segments: Sequence[Segment], categories: Categories
) -> None:
    """Raise InputError where the ids `found` in a map and its `segments` do not fit together.

    CategoryError for a category that `categories` does not have.
    """
    listed = [segment.id for segment in segments]
    if len(set(listed)) != len(listed):
        doubled = next(id for id in listed if listed.count(id) > 1)
        raise InputError(f"segment id {doubled} is listed twice; give every segment its own id")
    present = set(found.tolist())
    unlisted = sorted(present - set(listed))
    if unlisted:
        raise InputError(f"ids {shortened(unlisted)} of the map have no segment; list them or set them to 0")
    absent = sorted(set(listed) - present)
    if absent:
        raise InputError(f"segments {shortened(absent)} have no pixels in the map; drop them")
    for segment in segments:
        if not 0 <= segment.category < len(categories):
            raise CategoryError(
                f"category {segment.category} of segment {segment.id} is not an index of {categories.name} "
                f"(0..{len(categories) - 1})"
            )


def shortened(words: Sequence[object]) -> str:
    """At most eight ids or names, and how many more there are, so that a message stays one line."""
    return ", ".join(map(str, words[:8])) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
