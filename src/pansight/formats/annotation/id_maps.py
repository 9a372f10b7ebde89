"""Maps with a number for each pixel as objects: every format that stores labels as an image ends here."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32

from pansight.formats.annotation.losses import NO_PIXELS, Lost
from pansight.formats.annotation.objects import AnnotatedImage, AnnotatedObject
from pansight.panoptic.regions import measure_regions


def objects_in(ids: Int32[np.ndarray, "h w"], rows: Iterable[Sequence[Any]], name: str) -> AnnotatedImage:
    """The objects of an id map, from rows (value, label[, is_crowd[, score[, id]]]); other values are void.

    The id of an object is the value, unless the row has another.
    """
    regions = measure_regions(ids)
    boxes = dict(zip(regions.ids.tolist(), regions.boxes.tolist(), strict=True))
    objects, lost = [], []
    for row in rows:
        value, label = int(row[0]), str(row[1])
        id = int(row[4]) if len(row) > 4 else value
        called = f"{name}, object {id} ({label})"
        if value not in boxes:
            lost.append(Lost(NO_PIXELS, called))
            continue
        x, y, width, height = boxes[value]
        mask = ids[y : y + height, x : x + width] == value
        crowd = len(row) > 2 and bool(row[2])
        score = float(row[3]) if len(row) > 3 and isinstance(row[3], int | float) else None
        objects.append(AnnotatedObject(label, mask, x, y, None, crowd, score, 0.0, id, called))
    return AnnotatedImage(name, ids.shape[0], ids.shape[1], tuple(objects), tuple(lost))


def size_only(name: str, height: int, width: int) -> AnnotatedImage:
    """An image without labels."""
    return AnnotatedImage(name, height, width, ())


def numbered_pairs(
    first: Int32[np.ndarray, "h w"], second: Int32[np.ndarray, "h w"]
) -> tuple[Int32[np.ndarray, "h w"], list[tuple[int, int]]]:
    """A map that numbers the distinct pairs of two maps of values >= 0 from 1, and those pairs in order."""
    top = int(second.max(initial=0)) + 1
    joined = first.astype(np.int64) * top + second
    values, numbers = np.unique(joined, return_inverse=True)
    pairs = [divmod(int(value), top) for value in values]
    return (numbers.reshape(first.shape) + 1).astype(np.int32), pairs
