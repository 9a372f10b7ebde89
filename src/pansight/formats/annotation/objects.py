"""What every annotation tool has: an image with labelled objects that may overlap; how it becomes a map.

A reader gives an `AnnotatedImage`; `painted` makes the exclusive panoptic map of it. A map goes out again
segment by segment (`objects_of`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError
from pansight.formats.annotation.losses import HIDDEN, NO_AREA, NO_PIXELS, OVERLAPPED, Lost
from pansight.panoptic import ID_LIMIT, VOID, PanopticMap

MOST_PIXELS = 1 << 30
"""More than any image has; a larger product of height and width is a mistake in the file."""

VOID_LABELS = ("__ignore__", "_background_", "background", "void", "ignore")
"""Labels whose objects make pixels void, where they are not a class; the first two are labelme's own."""


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One shape: its label, and its pixels as a mask of the box whose first pixel is (`left`, `top`).

    Shapes of one label that share a `group` are parts of one object. Those with a higher `order` hide those
    with a lower one; among equals the later one hides the earlier. `id`: that of the segment, where the
    file holds one. `name` is its name in messages.
    """

    label: str
    mask: Bool[np.ndarray, "rows columns"]
    left: int = 0
    top: int = 0
    group: object = None
    is_crowd: bool = False
    score: float | None = None
    order: float = 0.0
    id: int | None = None
    name: str = ""

    @property
    def area(self) -> int:
        """Pixels of the shape."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height in pixels, tight; all zeros where the mask is empty."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if not len(rows):
            return 0, 0, 0, 0
        width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        return self.left + int(columns[0]), self.top + int(rows[0]), width, height


class Crop(NamedTuple):
    """A mask without the empty rows and columns around it: its pixels, and where the first of them lies."""

    mask: Bool[np.ndarray, "rows columns"]
    left: int
    top: int


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """The shapes of one image in the order of the file, and what the file listed without pixels."""

    name: str
    height: int
    width: int
    objects: tuple[AnnotatedObject, ...]
    lost: tuple[Lost, ...] = ()


def id_in(value: object) -> int | None:
    """What a file holds as an id where it is a number, else None: others may have written anything there."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def cropped(mask: Bool[np.ndarray, "h w"]) -> Crop:
    """The tight box of a mask; nothing of one that is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Crop(np.zeros((0, 0), np.bool_), 0, 0)
    top, left = int(rows[0]), int(columns[0])
    return Crop(np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1]), left, top)


def clipped(mask: Bool[np.ndarray, "rows columns"], left: int, top: int, height: int, width: int) -> Crop:
    """The part of a mask at (`left`, `top`) that lies inside of an image."""
    rows = slice(max(-top, 0), max(min(mask.shape[0], height - top), 0))
    columns = slice(max(-left, 0), max(min(mask.shape[1], width - left), 0))
    return Crop(mask[rows, columns], max(left, 0), max(top, 0))


def is_picture_size(height: int, width: int) -> bool:
    """Whether an image can have this size."""
    return height > 0 and width > 0 and height * width <= MOST_PIXELS


class Painted(NamedTuple):
    """The map of an image, the objects in its source, crowds among them, and what was lost."""

    panoptic: PanopticMap
    objects: int
    crowds: int
    lost: tuple[Lost, ...]


def painted(image: AnnotatedImage, categories: Categories) -> Painted:
    """Draw the objects over each other, so that the last one is visible.

    All shapes of a stuff class are one segment. A segment keeps the id that its first shape has in the file;
    the others take the smallest free ones, 1, 2, 3 ... in drawing order. Raises DataError, naming the object,
    when `categories` does not have its label.
    """
    if not is_picture_size(image.height, image.width):
        raise DataError(
            f"{image.name}: is said to be {image.width} x {image.height} pixels, which none can be"
        )
    ids: Int32[np.ndarray, "h w"] = np.full((image.height, image.width), VOID, np.int32)
    numbers: dict[object, int] = {}
    rows: list[tuple[int, int, float | None, bool]] = []
    names: list[str] = []
    given: list[int | None] = []
    lost = list(image.lost)
    full: list[int] = []
    ordered = sorted(enumerate(image.objects), key=lambda pair: pair[1].order)
    for position, one in ordered:
        name = one.name or f"{image.name}, object {position} ({one.label})"
        if not one.mask.any():
            lost.append(Lost(NO_PIXELS, name))
            continue
        window = ids[one.top : one.top + one.mask.shape[0], one.left : one.left + one.mask.shape[1]]
        if one.label in VOID_LABELS and one.label not in categories.names:
            window[one.mask] = VOID
            continue
        try:
            category = categories.index(one.label)
        except CategoryError as error:
            raise DataError(f"{name}: {error}") from error
        is_thing = bool(categories[category].is_thing)
        key: object = ("stuff", category)
        if is_thing:
            key = ("one", position) if one.group is None else ("group", category, one.group)
        if key not in numbers:
            numbers[key] = len(rows) + 1
            rows.append((len(rows) + 1, category, one.score, one.is_crowd and is_thing))
            names.append(name)
            given.append(one.id)
            full.append(0)
        number = numbers[key]
        full[number - 1] += int(np.count_nonzero(one.mask & (window != number)))
        window[one.mask] = number
    seen = np.bincount(ids.ravel(), minlength=len(rows) + 1)
    for number, name in enumerate(names, start=1):
        if not seen[number]:
            lost.append(Lost(HIDDEN, name))
        elif seen[number] < full[number - 1] and categories[rows[number - 1][1]].is_thing:
            lost.append(Lost(OVERLAPPED, name))
    own = _ids(given)
    ids = np.array([VOID, *own], np.int32)[ids]
    rows = [(id, *row[1:]) for id, row in zip(own, rows, strict=True)]
    crowds = sum(one.is_crowd for one in image.objects)
    shapeless = sum(one.kind in (NO_AREA, NO_PIXELS) for one in image.lost)
    panoptic = PanopticMap.from_table(ids, rows, categories)
    return Painted(panoptic, len(image.objects) + shapeless, crowds, tuple(lost))


def _ids(given: Sequence[int | None]) -> list[int]:
    """The given ids where they are valid and nobody before has them, the smallest free ones for the rest."""
    taken: set[int | None] = set()
    kept = []
    for id in given:
        valid = id is not None and 0 < id < ID_LIMIT and id not in taken
        kept.append(id if valid else None)
        taken.update(kept[-1:])
    free = (id for id in count(1) if id not in taken)
    return [next(free) if id is None else id for id in kept]


def objects_of(panoptic: PanopticMap) -> Iterator[AnnotatedObject]:
    """The segments of a map as objects, in its order, each with its tight mask, id and score."""
    for segment in panoptic.segments:
        x, y, width, height = segment.box
        mask = panoptic.ids[y : y + height, x : x + width] == segment.id
        label = panoptic.categories[segment.category].name
        yield AnnotatedObject(
            label, mask, x, y, None, segment.is_crowd, segment.score, 0.0, segment.id, f"segment {segment.id}"
        )


def labels_of(images: Sequence[AnnotatedImage]) -> list[str]:
    """All labels of some images, in the order in which they come."""
    return list(dict.fromkeys(one.label for image in images for one in image.objects))
