"""The type that users work with: `PanopticMap`, one id per pixel and one row per segment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Int32, Integer, Shaped, UInt8

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError, InputError
from pansight.panoptic import cityscapes, coco, frameworks
from pansight.panoptic.checks import check_segments, checked_ids, shortened
from pansight.panoptic.comparing import same_maps
from pansight.panoptic.ids import ids_to_rgb, rgb_to_ids
from pansight.panoptic.merge_masks import merge_masks
from pansight.panoptic.regions import measure_regions
from pansight.panoptic.rle import encode_mask
from pansight.panoptic.segment import VOID, Segment

if TYPE_CHECKING:
    import supervision
    from torch import Tensor

__all__ = ["VOID", "PanopticMap", "Segment", "ids_to_rgb", "rgb_to_ids"]


@dataclass(frozen=True, eq=False, repr=False)
class PanopticMap:
    """A panoptic segmentation of one image.

    `ids` holds 0 (void) or the id of one of `segments` at each pixel, ids in 1..2**24-1; it is read-only, and
    shares memory with the array it was made from. Every segment has pixels. Make maps with `from_table`,
    which measures areas and boxes; the constructor takes them as they are.

        >>> import numpy as np
        >>> from pansight.categories import Categories
        >>> ids = np.array([[1, 1, 2], [1, 0, 2]])
        >>> panoptic = PanopticMap.from_table(ids, [(1, 0, 0.9), (2, 1)], Categories.builtin("coco"))
        >>> [(segment.id, segment.area, segment.box) for segment in panoptic.segments]
        [(1, 3, (0, 0, 2, 2)), (2, 2, (2, 0, 1, 2))]
        >>> panoptic.mask(2).tolist()
        [[False, False, True], [False, False, True]]
        >>> panoptic.semantic().tolist()
        [[0, 0, 1], [0, -1, 1]]
    """

    ids: Int32[np.ndarray, "h w"]
    segments: tuple[Segment, ...]
    categories: Categories

    def __post_init__(self) -> None:
        """Raises InputError for ids and segments that do not fit together, CategoryError for categories."""
        object.__setattr__(self, "ids", checked_ids(self.ids))
        object.__setattr__(self, "segments", tuple(self.segments))
        check_segments(measure_regions(self.ids).ids, self.segments, self.categories)

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
        checked = checked_ids(ids)
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
        check_segments(regions.ids, segments, categories)
        # All is checked and measured: skip the constructor's second pass over the pixels.
        return cls.trusted(checked, tuple(segments), categories)

    @classmethod
    def trusted(
        cls, ids: Int32[np.ndarray, "h w"], segments: tuple[Segment, ...], categories: Categories
    ) -> "PanopticMap":
        """A map of parts that are known to fit together; nothing is checked, to save time."""
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
                f"no segment {id} in the map; its ids are {shortened(list(self._by_id))}"
            ) from None

    def mask(self, id: int) -> Bool[np.ndarray, "h w"]:
        """True at the pixels of the segment. Raises InputError when the map has no such segment."""
        result: np.ndarray = self.ids == self.segment(id).id
        return result

    def masks(self, ids: Iterable[int] | None = None) -> Bool[np.ndarray, "n h w"]:
        """Masks of the given segments, or of all in order; n x h x w bytes, made afresh on every call."""
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
        painted: np.ndarray = table.take(self.ids)
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
        """Whether both maps are the same apart from ids and order: pixels, categories, crowds.

        Scores are not compared.
        """
        return same_maps(self, other)

    def to_coco(
        self, image_id: int | str | np.integer[Any], file_name: str
    ) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, Any]]:
        """The COCO-panoptic image of ids (id = R + 256 G + 65536 B) and the annotation that goes with it.

        `file_name` is the name that the image will have. Category ids are the data set's; a segment has the
        key "score" when it has a score.
        """
        rows = coco.segments_info(self.segments, self.categories)
        plain = int(image_id) if isinstance(image_id, np.integer) else image_id
        annotation = {"image_id": plain, "file_name": file_name, "segments_info": rows}
        return ids_to_rgb(self.ids), annotation

    @classmethod
    def from_coco(
        cls,
        rgb: Shaped[np.ndarray, "..."],
        annotation: Mapping[str, Any],
        categories: Categories,
        *,
        unlisted: Literal["raise", "void"] = "raise",
    ) -> "PanopticMap":
        """Read a COCO-panoptic image, uint8 RGB or RGBA [h, w, 3 or 4], and its annotation.

        Pixels count: areas and boxes of the annotation are ignored and measured again, and segments without
        pixels are left out. Ids in the image that the annotation does not list are an error, or void if
        `unlisted` says so.

        Raises DataError, naming the annotation's file, when image and annotation are broken or do not fit
        together; CategoryError for a category id that `categories` does not have.
        """
        table = coco.table_of(annotation, categories)
        try:
            return cls.from_table(rgb_to_ids(rgb), table, categories, unlisted=unlisted)
        except InputError as error:
            raise DataError(f"annotation of {coco.source_of(annotation)}: {error}") from error

    def to_cityscapes(self, label_ids: Sequence[int] | None = None) -> Int32[np.ndarray, "h w"]:
        """Cityscapes `instanceIds`: labelId of stuff and crowds, labelId * 1000 + n of objects, 0 of void.

        `label_ids` gives the labelId of each contiguous category; by default the data-set ids, which are
        labelIds in the built-in set (pass `formats.conversions.CITYSCAPES_LABEL_IDS` for a set that counts by
        trainId). LabelIds up to 64 give values that fit the 16-bit PNG of the official files. The format
        cannot hold scores, and joins the stuff segments of one category, and its crowds.

        Raises InputError when a category has more than 1000 objects, CategoryError for a labelId outside
        1..999.
        """
        return self.paint(cityscapes.values_of(self.segments, self.categories, label_ids))

    @classmethod
    def from_cityscapes(
        cls,
        instance_ids: Integer[np.ndarray, "h w"],
        categories: Categories,
        label_ids: Sequence[int] | None = None,
    ) -> "PanopticMap":
        """Read Cityscapes `instanceIds` [h, w]; the segments keep those values as ids, ascending.

        A bare labelId of a thing category is a crowd. Labels that `categories` does not have become void, as
        in the official converter (they are not evaluated). `label_ids` as in `to_cityscapes`.
        """
        # Negative labels (license plate, -1) are among those that are not evaluated.
        ids = np.maximum(instance_ids, 0).astype(np.int32, copy=False)
        return cls.from_table(
            ids, cityscapes.table_of(ids, categories, label_ids), categories, unlisted="void"
        )

    def to_detectron2(self) -> tuple["Int32[Tensor, 'h w']", list[dict[str, Any]]]:
        """detectron2's `panoptic_seg`: ids [h, w], 0 = void, and dicts id, isthing, category_id, score, area.

        `category_id` is the contiguous index over things and stuff, as in the panoptic models of its
        ecosystem; "score" is present when the segment has one. The tensor is a copy on the CPU.
        """
        return self._tensor(), frameworks.detectron2_rows(self.segments, self.categories)

    def to_huggingface(self) -> dict[str, Any]:
        """What `post_process_panoptic_segmentation` of Hugging Face transformers gives for one image.

        "segmentation": int32 tensor [h, w], 0 = void; "segments_info": dicts id, label_id (contiguous index),
        was_fused (stuff, whose parts are joined), score (0..1, or None where the segment has none).
        """
        rows = frameworks.huggingface_rows(self.segments, self.categories)
        return {"segmentation": self._tensor(), "segments_info": rows}

    @classmethod
    def from_detectron2(
        cls,
        panoptic_seg: "tuple[Tensor | Integer[np.ndarray, 'h w'], Sequence[Mapping[str, Any]]]",
        categories: Categories,
    ) -> "PanopticMap":
        """Read detectron2's `panoptic_seg`: ids [h, w] and dicts id, category_id, and perhaps score.

        `category_id` is the contiguous index over things and stuff, as `to_detectron2` writes it. Void is 0
        or -1; ids that are not listed are void. Raises InputError when it is something else.
        """
        ids, table = frameworks.detectron2_table(*panoptic_seg)
        return cls.from_table(ids, table, categories, unlisted="void")

    @classmethod
    def from_huggingface(cls, result: Mapping[str, Any], categories: Categories) -> "PanopticMap":
        """Read one image's result of `post_process_panoptic_segmentation` of Hugging Face transformers.

        `label_id` is the contiguous index of a category. Void is 0, or -1 where ids count from 0; a class
        that is listed several times with one id is one segment. Raises InputError where an id has two labels.

            result = processor.post_process_panoptic_segmentation(outputs, target_sizes=[(h, w)])[0]
            panoptic = PanopticMap.from_huggingface(result, categories)
        """
        ids, table = frameworks.huggingface_table(result)
        return cls.from_table(ids, table, categories, unlisted="void")

    @classmethod
    def from_masks(
        cls,
        masks: "Bool[np.ndarray, 'n h w'] | Sequence[Bool[np.ndarray, 'h w']]",
        categories: Sequence[int | str] | Integer[np.ndarray, "n"] | None = None,
        *,
        scores: Sequence[float] | None = None,
        crowds: Sequence[bool] | None = None,
        among: Categories | None = None,
        max_occlusion: float = 1.0,
        min_area: int = 1,
    ) -> "PanopticMap":
        """One exclusive map of masks that may overlap; see `merge_masks` for which mask hides which.

        `categories`: the category of each mask, by its contiguous index in `among` or by its name there.
        Without `among`, names are things of a set made of them, numbers are object classes 0, 1, 2 ...;
        without `categories` all are "object", as for models that segment everything. Stuff and crowds lie
        under all other masks, and masks of one stuff class are one segment. Id 1 + n is mask n.

            >>> whole, part = np.ones((2, 3), bool), np.array([[1, 0, 0], [0, 0, 0]], bool)
            >>> PanopticMap.from_masks([whole, part], ["sky", "kite"]).ids.tolist()
            [[2, 1, 1], [1, 1, 1]]

        Raises InputError for masks of different sizes or not one category and score per mask, CategoryError
        for a category that `among` does not have.
        """
        count = len(masks)
        if crowds is not None and len(crowds) != count:
            raise InputError(f"{count} masks have {len(crowds)} crowd flags; give one of each")
        given: list[int | str] = ["object"] * count
        if categories is not None:
            given = [one if isinstance(one, str) else int(one) for one in categories]
        if len(given) != count:
            raise InputError(f"{count} masks have {len(given)} categories; give one of each")
        if among is None:
            names = list(dict.fromkeys(one for one in given if isinstance(one, str)))
            names += [
                f"object {n}" for n in range(max((o for o in given if isinstance(o, int)), default=-1) + 1)
            ]
            if any(isinstance(one, int) for one in given) and any(isinstance(one, str) for one in given):
                raise InputError("give categories as numbers or as names, not both; or the set, by among=")
            rows = [{"id": n, "name": name, "isthing": 1} for n, name in enumerate(names, start=1)]
            among = Categories.from_json(rows, name="masks")
        index = [among.index(one) if isinstance(one, str) else one for one in given]
        if any(not 0 <= one < len(among) for one in index):
            raise CategoryError(
                f"category {max(index)} of a mask is not in {among.name} (0..{len(among) - 1})"
            )
        stuff = [not among[one].is_thing for one in index]
        below = [flag or (crowds is not None and bool(crowds[n])) for n, flag in enumerate(stuff)]
        ids = merge_masks(masks, scores, below=below, max_occlusion=max_occlusion, min_area=min_area)
        first: dict[int, int] = {}
        same = np.arange(count + 1, dtype=np.int32)
        table = []
        for number, category in enumerate(index):
            id = number + 1
            if stuff[number]:
                same[id] = first.setdefault(category, id)
            if same[id] == id:
                score = None if scores is None else float(scores[number])
                crowd = crowds is not None and bool(crowds[number]) and not stuff[number]
                table.append((id, category, score, crowd))
        return cls.from_table(same[ids], table, among)

    def to_rle(self) -> list[dict[str, Any]]:
        """Each segment, in order, as COCO's packed run lengths: {"size": [h, w], "counts": text}."""
        return [encode_mask(self.ids == segment.id) for segment in self.segments]

    def to_supervision(
        self, *, include_stuff: bool = False, compact: bool = False
    ) -> "supervision.Detections":
        """The things, and stuff if wanted, as `supervision.Detections`, in the order of the segments.

        xyxy float32 [n, 4] in pixels (x, y, x + width, y + height: the right and lower edges are excluded),
        mask bool [n, h, w] (with `compact` a CompactMask, run lengths inside of each box), class_id the
        contiguous index, confidence float32 [n], or None unless all the segments have a score, tracker_id the
        segment's id, which lasts where maps were tracked; data holds "class_name", "segment_id", "iscrowd".
        Raises MissingExtraError where supervision is not installed.
        """
        segments = self.segments if include_stuff else self.things()
        masks = self.masks([segment.id for segment in segments])
        return frameworks.detections(segments, masks, self.categories, compact=compact)

    def _tensor(self) -> "Int32[Tensor, 'h w']":
        import torch

        return torch.from_numpy(self.ids.copy())

    @classmethod
    def from_supervision(cls, detections: "supervision.Detections", categories: Categories) -> "PanopticMap":
        """Read `supervision.Detections` that do not overlap, such as those of a tracked map.

        Needs mask [n, h, w] and class_id (contiguous indices); takes ids from tracker_id, else from data's
        "segment_id", else 1, 2, 3 ...; and confidence and data's "iscrowd" where present. Raises
        InputError for detections without masks or classes, with ids that are not distinct numbers of
        1..2**24-1, or whose masks overlap.
        """
        ids, table = frameworks.map_of(detections)
        return cls.from_table(ids, table, categories)

    def __repr__(self) -> str:
        things = len(self.things())
        return (
            f"PanopticMap({self.width}x{self.height}, {things} things, {len(self.segments) - things} stuff, "
            f"{self.categories.name})"
        )
