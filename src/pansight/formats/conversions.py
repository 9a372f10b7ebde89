"""PanopticMap to and from what others use: COCO, Cityscapes, detectron2, Hugging Face, supervision.

The map speaks of categories by contiguous index. COCO and Cityscapes files want data-set ids; the in-memory
forms of detectron2, Hugging Face and supervision want the contiguous index, as their models give it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int32, Integer, Shaped, UInt8

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError, InputError
from pansight.files import require_extra
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ID_LIMIT, ids_to_rgb, rgb_to_ids
from pansight.panoptic.regions import measure_regions

if TYPE_CHECKING:
    import supervision
    from torch import Tensor

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""labelId of the 19 evaluated Cityscapes classes by trainId (cityscapesscripts, helpers/labels.py)."""

_PER_CLASS = 1000
"""Cityscapes writes object n of a class as labelId * 1000 + n (cityscapesscripts, json2instanceImg)."""


def to_coco(
    panoptic: PanopticMap, image_id: int | str, file_name: str
) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, Any]]:
    """The picture of ids (id = R + 256 G + 65536 B) and the annotation that goes with it.

    `file_name` is the name that the picture will have. Category ids are the data set's; a segment has the key
    "score" when it has a score.
    """
    rows = []
    for segment in panoptic.segments:
        row: dict[str, Any] = {
            "id": segment.id,
            "category_id": panoptic.categories[segment.category].dataset_id,
            "area": segment.area,
            "bbox": list(segment.box),
            "iscrowd": int(segment.is_crowd),
        }
        if segment.score is not None:
            row["score"] = segment.score
        rows.append(row)
    annotation = {"image_id": image_id, "file_name": file_name, "segments_info": rows}
    return ids_to_rgb(panoptic.ids), annotation


def from_coco(
    rgb: Shaped[np.ndarray, "..."],
    annotation: Mapping[str, Any],
    categories: Categories,
    *,
    unlisted: Literal["raise", "void"] = "raise",
) -> PanopticMap:
    """Read a COCO-panoptic picture, uint8 [h, w, 3 or 4], and its annotation.

    Areas and boxes are measured, not believed; segments without pixels are left out. Ids in the picture that
    the annotation does not list are an error, or void if `unlisted` says so.

    Raises DataError, naming the annotation's file, when picture and annotation are broken or do not fit
    together; CategoryError for a category id that `categories` does not have.
    """
    source = annotation.get("file_name") or f"image {annotation.get('image_id', 'without id')}"
    segments = annotation.get("segments_info")
    if not isinstance(segments, list):
        raise DataError(
            f'annotation of {source} has no list "segments_info"; give a COCO-panoptic annotation'
        )
    table = []
    for row in segments:
        try:
            id, dataset_id = int(row["id"]), int(row["category_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"annotation of {source} has a segment without whole numbers id and category_id; correct it"
            ) from error
        if id <= 0:
            raise DataError(f"annotation of {source} lists segment {id}; ids start at 1, because 0 is void")
        try:
            category = categories.from_dataset_id(dataset_id)
        except CategoryError as error:
            raise CategoryError(f"annotation of {source}, segment {id}: {error}") from error
        table.append((id, category, row.get("score"), bool(row.get("iscrowd", 0))))
    try:
        return PanopticMap.from_table(rgb_to_ids(rgb), table, categories, unlisted=unlisted)
    except InputError as error:
        raise DataError(f"annotation of {source}: {error}") from error


def to_cityscapes(panoptic: PanopticMap, label_ids: Sequence[int] | None = None) -> Int32[np.ndarray, "h w"]:
    """Cityscapes `instanceIds`: labelId of stuff and of crowds, labelId * 1000 + n of objects, 0 of void.

    `label_ids` gives the labelId of each contiguous category; by default the data-set ids, which are labelIds
    in the built-in set (pass CITYSCAPES_LABEL_IDS for a set that counts by trainId). LabelIds up to 64 give
    values that fit the 16-bit PNG of the official files. The format has no place for scores, and joins the
    stuff segments of one category, and its crowds.

    Raises InputError when a category has more than 1000 objects, CategoryError for a labelId outside 1..999.
    """
    labels = _labels(panoptic.categories, label_ids)
    counts = [0] * len(labels)
    values = []
    for segment in panoptic.segments:
        label = labels[segment.category]
        if segment.is_crowd or not panoptic.categories[segment.category].is_thing:
            values.append(label)
            continue
        if counts[segment.category] == _PER_CLASS:
            raise InputError(
                f"more than {_PER_CLASS} objects of {panoptic.categories[segment.category].name!r} "
                "cannot be written as Cityscapes ids; write COCO instead"
            )
        values.append(label * _PER_CLASS + counts[segment.category])
        counts[segment.category] += 1
    return panoptic.paint(values)


def from_cityscapes(
    instance_ids: Integer[np.ndarray, "h w"],
    categories: Categories,
    label_ids: Sequence[int] | None = None,
) -> PanopticMap:
    """Read Cityscapes `instanceIds` [h, w]; the segments keep those values as ids, ascending.

    A bare labelId of a thing category is a crowd. Labels that `categories` does not have become void, as in
    the official converter (they are not evaluated). `label_ids` as in `to_cityscapes`.
    """
    index = {label: category for category, label in enumerate(_labels(categories, label_ids))}
    # Negative labels (license plate, -1) are among those that are not evaluated.
    ids = np.maximum(instance_ids, 0)
    table = []
    for value in measure_regions(ids.astype(np.int32, copy=False)).ids.tolist():
        category = index.get(value // _PER_CLASS if value >= _PER_CLASS else value)
        if category is not None:
            table.append((value, category, None, value < _PER_CLASS and categories[category].is_thing))
    return PanopticMap.from_table(ids, table, categories, unlisted="void")


def to_detectron2(panoptic: PanopticMap) -> tuple["Int32[Tensor, 'h w']", list[dict[str, Any]]]:
    """detectron2's `panoptic_seg`: ids [h, w], 0 = void, and dicts id, isthing, category_id, score, area.

    `category_id` is the contiguous index over things and stuff, as in the panoptic models of its ecosystem;
    "score" is present when the segment has one. The tensor is a copy on the CPU.
    """
    rows = []
    for segment in panoptic.segments:
        row: dict[str, Any] = {
            "id": segment.id,
            "isthing": panoptic.categories[segment.category].is_thing,
            "category_id": segment.category,
            "area": segment.area,
        }
        if segment.score is not None:
            row["score"] = segment.score
        rows.append(row)
    return _tensor(panoptic), rows


def to_huggingface(panoptic: PanopticMap) -> dict[str, Any]:
    """The dict that `post_process_panoptic_segmentation` of Hugging Face transformers gives for one picture.

    "segmentation": int32 tensor [h, w], 0 = void; "segments_info": dicts id, label_id (contiguous index),
    was_fused (stuff, whose parts are joined), score (0..1, or None where the segment has none).
    """
    rows = [
        {
            "id": segment.id,
            "label_id": segment.category,
            "was_fused": not panoptic.categories[segment.category].is_thing,
            "score": segment.score,
        }
        for segment in panoptic.segments
    ]
    return {"segmentation": _tensor(panoptic), "segments_info": rows}


def to_supervision(panoptic: PanopticMap, *, include_stuff: bool = False) -> "supervision.Detections":
    """The things, and stuff if wanted, as `supervision.Detections`, in the order of the segments.

    xyxy float32 [n, 4] in pixels (x, y, x + width, y + height: the right and lower edges are excluded), mask
    bool [n, h, w], class_id the contiguous index, confidence float32 [n], or None unless all the segments
    have a score, tracker_id the segment's id, which lasts where maps were tracked; data holds "class_name",
    "segment_id" and "iscrowd". Raises MissingExtraError where supervision is not installed.
    """
    package = require_extra("supervision", "supervision")
    segments = panoptic.segments if include_stuff else panoptic.things()
    boxes = np.array([segment.box for segment in segments], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = [segment.score for segment in segments if segment.score is not None]
    detections: supervision.Detections = package.Detections(
        xyxy=boxes,
        mask=panoptic.masks([segment.id for segment in segments]),
        confidence=np.array(scores, dtype=np.float32) if len(scores) == len(segments) else None,
        class_id=np.array([segment.category for segment in segments], dtype=np.int64),
        tracker_id=np.array([segment.id for segment in segments], dtype=np.int64),
        data={
            "class_name": np.array([panoptic.categories[s.category].name for s in segments], dtype=np.str_),
            "segment_id": np.array([segment.id for segment in segments], dtype=np.int64),
            "iscrowd": np.array([segment.is_crowd for segment in segments], dtype=np.bool_),
        },
    )
    return detections


def from_supervision(detections: "supervision.Detections", categories: Categories) -> PanopticMap:
    """A map of `supervision.Detections` that do not overlap, with their tracker ids.

    Needs mask [n, h, w] and class_id (contiguous indices); takes ids from tracker_id, else from data's
    "segment_id", else 1, 2, 3 ...; confidence and data's "iscrowd" where there are such.

    Raises InputError for detections without masks or classes, with ids that are not different numbers of
    1..2**24-1, or whose masks overlap.
    """
    if detections.mask is None or detections.class_id is None:
        raise InputError("detections without mask or class_id make no map; use a segmentation's")
    count = len(detections.mask)
    given = detections.tracker_id
    if given is None:
        given = detections.data.get("segment_id", np.arange(1, count + 1))
    numbers = np.asarray(given, dtype=np.int64)
    if len(np.unique(numbers)) < count or (count and not 0 < numbers.min() <= numbers.max() < ID_LIMIT):
        raise InputError(f"ids {numbers.tolist()} are not different numbers of 1..{ID_LIMIT - 1}")
    masks = np.asarray(detections.mask, dtype=np.bool_)
    if count and int(masks.sum(0, dtype=np.uint16).max(initial=0)) > 1:
        raise InputError("masks overlap: in a map each pixel has one segment; merge them first")
    ids = np.zeros(masks.shape[1:], np.int32)
    for id, mask in zip(numbers.tolist(), masks, strict=True):
        ids[mask] = id
    scores = [None] * count if detections.confidence is None else detections.confidence.tolist()
    crowds = np.asarray(detections.data.get("iscrowd", np.zeros(count)), dtype=np.bool_).tolist()
    rows = zip(numbers.tolist(), detections.class_id.tolist(), scores, crowds, strict=True)
    return PanopticMap.from_table(ids, list(rows), categories)


def _labels(categories: Categories, label_ids: Sequence[int] | None) -> list[int]:
    labels = [int(label) for label in (categories.dataset_ids if label_ids is None else label_ids)]
    if len(labels) != len(categories) or len(set(labels)) != len(labels):
        raise CategoryError(f"{categories.name} needs {len(categories)} different label ids, one a category")
    if any(not 0 < label < _PER_CLASS for label in labels):
        raise CategoryError(
            f"label ids {min(labels)}..{max(labels)} of {categories.name} do not fit Cityscapes; use 1..999"
        )
    return labels


def _tensor(panoptic: PanopticMap) -> "Int32[Tensor, 'h w']":
    import torch

    return torch.from_numpy(panoptic.ids.copy())
