"""What people hold in their hands: `PanopticMap`, one id a pixel and a row a segment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Int32, Integer, Shaped, UInt8

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.panoptic.ids import ID_LIMIT, ids_to_rgb, rgb_to_ids
from pansight.panoptic.regions import measure_regions

if TYPE_CHECKING:
    import supervision
    from torch import Tensor

__all__ = ["VOID", "PanopticMap", "Segment", "ids_to_rgb", "rgb_to_ids"]

VOID = 0
"""Id of the pixels that belong to no segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One region of a map: an object of a thing category, or all of one kind of stuff.

    `category` is the contiguous index, `area` counts pixels, `box` is (x, y, width, height) in pixels, tight.
    A crowd is a region of many objects that nobody told apart.
    """

    id: int
    category: int
    area: int
    box: tuple[int, int, int, int]
    score: float | None = None
    is_crowd: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class PanopticMap:
    """A panoptic segmentation of one picture.

    `ids` holds 0 (void) or the id of one of `segments` at each pixel, ids in 1..2**24-1; it is read-only, and
    shares memory with the array it was made from. Every segment has pixels. Make maps with `from_table`,
    which measures areas and boxes; the constructor takes them as they are.
    """

    ids: Int32[np.ndarray, "h w"]
    segments: tuple[Segment, ...]
    categories: Categories

    def __post_init__(self) -> None:
        """Raises InputError for ids and segments that do not fit together, CategoryError for categories."""
        object.__setattr__(self, "ids", _checked_ids(self.ids))
        object.__setattr__(self, "segments", tuple(self.segments))
        _check_segments(measure_regions(self.ids).ids, self.segments, self.categories)

    @classmethod
    def from_table(
        cls,
        ids: Integer[np.ndarray, "h w"],
        table: Iterable[Sequence[Any]],
        categories: Categories,
        *,
        unlisted: Literal["raise", "void"] = "raise",
    ) -> "PanopticMap":
        """Build a map from ids [h, w] and rows (id, category[, score[, is_crowd]]), measuring each segment.

        Rows without pixels are dropped; the order of the others is kept. Pixels whose id has no row are an
        error, or become void if `unlisted` says so. Raises InputError when ids and rows do not fit together,
        CategoryError when a category is not 0..N-1.
        """
        checked = _checked_ids(ids)
        regions = measure_regions(checked)
        rows = list(table)
        if unlisted == "void":
            stray = np.setdiff1d(regions.ids, np.array([int(row[0]) for row in rows], dtype=np.int64))
            if len(stray):
                cleaned = np.where(np.isin(checked, stray), np.int32(VOID), checked)
                return cls.from_table(cleaned, rows, categories)
        order = {id: position for position, id in enumerate(regions.ids.tolist())}
        areas, boxes = regions.areas.tolist(), regions.boxes.tolist()
        segments = []
        for row in rows:
            id, category = int(row[0]), int(row[1])
            if id not in order:
                continue
            area, box = areas[order[id]], tuple(boxes[order[id]])
            score = float(row[2]) if len(row) > 2 and row[2] is not None else None
            is_crowd = len(row) > 3 and bool(row[3])
            segments.append(Segment(id, category, area, box, score, is_crowd))
        _check_segments(regions.ids, segments, categories)
        # All is checked and measured: skip the constructor's second pass over the pixels.
        return cls.trusted(checked, tuple(segments), categories)

    @classmethod
    def trusted(
        cls, ids: Int32[np.ndarray, "h w"], segments: tuple[Segment, ...], categories: Categories
    ) -> "PanopticMap":
        """A map of parts that are known to fit together; nothing is checked, for nothing is to cost time."""
        ids = ids.view()
        ids.flags.writeable = False
        panoptic = object.__new__(cls)
        for name, value in (("ids", ids), ("segments", segments), ("categories", categories)):
            object.__setattr__(panoptic, name, value)
        return panoptic

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.ids.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.ids.shape[1])

    @cached_property
    def _by_id(self) -> dict[int, Segment]:
        return {segment.id: segment for segment in self.segments}

    def segment(self, id: int) -> Segment:
        """The segment with this id. Raises InputError when the map has none."""
        try:
            return self._by_id[id]
        except KeyError:
            raise InputError(
                f"no segment {id} in the map; its ids are {_shortened(list(self._by_id))}"
            ) from None

    def mask(self, id: int) -> Bool[np.ndarray, "h w"]:
        """True at the pixels of the segment. Raises InputError when the map has no such segment."""
        result: np.ndarray = self.ids == self.segment(id).id
        return result

    def masks(self, ids: Iterable[int] | None = None) -> Bool[np.ndarray, "n h w"]:
        """Masks of the given segments, or of all in order; n x h x w bytes, made anew on every call."""
        wanted = [segment.id for segment in self.segments] if ids is None else [int(id) for id in ids]
        result = np.empty((len(wanted), *self.ids.shape), dtype=np.bool_)
        for mask, id in zip(result, wanted, strict=True):
            np.equal(self.ids, self.segment(id).id, out=mask)
        return result

    def things(self) -> tuple[Segment, ...]:
        """Segments of thing categories, crowds included, in order."""
        return tuple(s for s in self.segments if self.categories[s.category].is_thing)

    def stuff(self) -> tuple[Segment, ...]:
        """Segments of stuff categories, in order."""
        return tuple(s for s in self.segments if not self.categories[s.category].is_thing)

    def semantic(self, void: int = -1) -> Int32[np.ndarray, "h w"]:
        """Contiguous category index of each pixel, `void` where there is no segment."""
        return self.paint([segment.category for segment in self.segments], void)

    def paint(self, values: Sequence[int], void: int = 0) -> Int32[np.ndarray, "h w"]:
        """Replace each pixel by the value of its segment (`values` in the order of `segments`)."""
        top = max((segment.id for segment in self.segments), default=0)
        # Stored as the difference from `void`: a fresh table is all zeros, and pages of it that no id
        # touches cost nothing, however large the ids are.
        table = np.zeros(top + 1, dtype=np.int32)
        table[[segment.id for segment in self.segments]] = np.asarray(values, dtype=np.int32) - void
        painted: np.ndarray = table[self.ids]
        if void:
            painted += np.int32(void)
        return painted

    def remapped(self) -> "PanopticMap":
        """The same map with ids 1..n in the order of `segments`."""
        fresh = range(1, len(self.segments) + 1)
        segments = (
            Segment(id, old.category, old.area, old.box, old.score, old.is_crowd)
            for id, old in zip(fresh, self.segments, strict=True)
        )
        return PanopticMap(self.paint(fresh), tuple(segments), self.categories)

    def same_as(self, other: "PanopticMap") -> bool:
        """Whether both maps say the same, whatever the ids and the order: pixels, categories, crowds.

        Scores are not compared.
        """
        if self.ids.shape != other.ids.shape or self.categories != other.categories:
            return False
        if len(self.segments) != len(other.segments):
            return False
        partners = []
        for segment in self.segments:
            x, y, width, _ = segment.box
            first = x + int(np.argmax(self.ids[y, x : x + width] == segment.id))
            partner = other._by_id.get(int(other.ids[y, first]))
            if partner is None or partner.category != segment.category:
                return False
            if partner.is_crowd != segment.is_crowd:
                return False
            partners.append(partner.id)
        return len(set(partners)) == len(partners) and np.array_equal(self.paint(partners), other.ids)

    def to_coco(
        self, image_id: int | str, file_name: str
    ) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, Any]]:
        """The COCO-panoptic picture and annotation; see `pansight.formats.conversions.to_coco`."""
        from pansight.formats import conversions  # imports this module

        return conversions.to_coco(self, image_id, file_name)

    @classmethod
    def from_coco(
        cls,
        rgb: Shaped[np.ndarray, "..."],
        annotation: Mapping[str, Any],
        categories: Categories,
        *,
        unlisted: Literal["raise", "void"] = "raise",
    ) -> "PanopticMap":
        """Read a COCO-panoptic picture and annotation; see `pansight.formats.conversions.from_coco`."""
        from pansight.formats import conversions  # imports this module

        return conversions.from_coco(rgb, annotation, categories, unlisted=unlisted)

    def to_cityscapes(self, label_ids: Sequence[int] | None = None) -> Int32[np.ndarray, "h w"]:
        """Cityscapes `instanceIds`; see `pansight.formats.conversions.to_cityscapes`."""
        from pansight.formats import conversions  # imports this module

        return conversions.to_cityscapes(self, label_ids)

    @classmethod
    def from_cityscapes(
        cls,
        instance_ids: Integer[np.ndarray, "h w"],
        categories: Categories,
        label_ids: Sequence[int] | None = None,
    ) -> "PanopticMap":
        """Read Cityscapes `instanceIds`; see `pansight.formats.conversions.from_cityscapes`."""
        from pansight.formats import conversions  # imports this module

        return conversions.from_cityscapes(instance_ids, categories, label_ids)

    def to_detectron2(self) -> tuple["Int32[Tensor, 'h w']", list[dict[str, Any]]]:
        """The pair `panoptic_seg` of detectron2; see `pansight.formats.conversions.to_detectron2`."""
        from pansight.formats import conversions  # imports this module

        return conversions.to_detectron2(self)

    def to_huggingface(self) -> dict[str, Any]:
        """The dict of Hugging Face transformers; see `pansight.formats.conversions.to_huggingface`."""
        from pansight.formats import conversions  # imports this module

        return conversions.to_huggingface(self)

    def to_supervision(self, *, include_stuff: bool = False) -> "supervision.Detections":
        """Detections of the supervision package; see `pansight.formats.conversions.to_supervision`."""
        from pansight.formats import conversions  # imports this module

        return conversions.to_supervision(self, include_stuff=include_stuff)

    @classmethod
    def from_supervision(cls, detections: "supervision.Detections", categories: Categories) -> "PanopticMap":
        """Read detections that do not overlap; see `pansight.formats.conversions.from_supervision`."""
        from pansight.formats import conversions  # imports this module

        return conversions.from_supervision(detections, categories)

    def __repr__(self) -> str:
        things = len(self.things())
        return (
            f"PanopticMap({self.width}x{self.height}, {things} things, {len(self.segments) - things} stuff, "
            f"{self.categories.name})"
        )


def _checked_ids(ids: Shaped[np.ndarray, "..."]) -> Int32[np.ndarray, "h w"]:
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


def _check_segments(
    found: Int32[np.ndarray, "n"], segments: Sequence[Segment], categories: Categories
) -> None:
    listed = [segment.id for segment in segments]
    if len(set(listed)) != len(listed):
        doubled = next(id for id in listed if listed.count(id) > 1)
        raise InputError(f"segment id {doubled} is listed twice; give every segment its own id")
    present = set(found.tolist())
    unlisted = sorted(present - set(listed))
    if unlisted:
        raise InputError(f"ids {_shortened(unlisted)} of the map have no segment; list them or set them to 0")
    absent = sorted(set(listed) - present)
    if absent:
        raise InputError(f"segments {_shortened(absent)} have no pixels in the map; drop them")
    for segment in segments:
        if not 0 <= segment.category < len(categories):
            raise CategoryError(
                f"category {segment.category} of segment {segment.id} is not an index of {categories.name} "
                f"(0..{len(categories) - 1})"
            )


def _shortened(ids: Sequence[int]) -> str:
    """At most eight ids, so that a message stays one line."""
    return ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
