"""Segments as the rows that detectron2, Hugging Face transformers and supervision have for them, and back.

All three number categories by contiguous index, as their models give it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int32, Shaped

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.files import require_extra
from pansight.panoptic.ids import ID_LIMIT
from pansight.panoptic.segment import Segment

if TYPE_CHECKING:
    import supervision


def detectron2_rows(segments: Sequence[Segment], categories: Categories) -> list[dict[str, Any]]:
    """Dicts id, isthing, category_id, area, and score where there is one."""
    rows = []
    for segment in segments:
        row: dict[str, Any] = {
            "id": segment.id,
            "isthing": categories[segment.category].is_thing,
            "category_id": segment.category,
            "area": segment.area,
        }
        if segment.score is not None:
            row["score"] = segment.score
        rows.append(row)
    return rows


def huggingface_rows(segments: Sequence[Segment], categories: Categories) -> list[dict[str, Any]]:
    """Dicts id, label_id, was_fused, score."""
    return [
        {
            "id": segment.id,
            "label_id": segment.category,
            "was_fused": not categories[segment.category].is_thing,
            "score": segment.score,
        }
        for segment in segments
    ]


def as_ids(segmentation: Any) -> Shaped[np.ndarray, "h w"]:
    """A tensor on any device, or an array, as whole numbers [h, w]."""
    if hasattr(segmentation, "detach"):
        segmentation = segmentation.detach().cpu().numpy()
    array = np.asarray(segmentation)
    if array.ndim != 2:
        raise InputError(f"a segmentation must be [h, w], not {list(array.shape)}; give one image's")
    if not np.issubdtype(array.dtype, np.integer):
        # an empty result of transformers is float, and full of -1
        whole = np.rint(array)
        if not np.array_equal(whole, array):
            raise InputError("a segmentation must hold whole numbers; give ids, not probabilities")
        array = whole.astype(np.int64)
    return array


def huggingface_table(
    result: Mapping[str, Any],
) -> tuple[Int32[np.ndarray, "h w"], list[tuple[int, int, float | None, bool]]]:
    """Ids from 1 and rows (id, label id, score, no crowd) of a result of transformers.

    Ids may count from 0 with void -1 (EoMT); a fused class may be listed once per query (best score counts).
    Raises InputError where one id has two labels, which transformers gives when a fused class comes back.
    """
    if not isinstance(result, Mapping) or not {"segmentation", "segments_info"} <= result.keys():
        raise InputError(
            "one image's result has segmentation and segments_info; of a list, give them one by one"
        )
    ids = as_ids(result["segmentation"])
    rows: dict[int, tuple[int, float | None]] = {}
    for one in result["segments_info"]:
        id, label = int(one["id"]), int(one["label_id"])
        score = None if one.get("score") is None else float(one["score"])
        known = rows.setdefault(id, (label, score))
        if known[0] != label:
            raise InputError(
                f"segment {id} is listed with the labels {known[0]} and {label}: transformers reuses ids "
                "after a fused class; call it with label_ids_to_fuse=set()"
            )
        if score is not None and (known[1] is None or score > known[1]):
            rows[id] = (label, score)
    # where void is -1, id 0 is a segment
    shift = 1 if 0 in rows or bool((ids < 0).any()) else 0
    table = [(id + shift, label, score, False) for id, (label, score) in rows.items()]
    return (np.maximum(ids, -1) + shift).astype(np.int32), table


def detectron2_table(
    segmentation: Any, segments_info: Sequence[Mapping[str, Any]] | None
) -> tuple[Int32[np.ndarray, "h w"], list[tuple[int, int, float | None, bool]]]:
    """Ids and rows (id, category, score, crowd) of a `panoptic_seg` of detectron2; -1 and 0 are void."""
    if segments_info is None:
        raise InputError(
            "this panoptic_seg has no segments_info, only ids of category and instance; give the dicts, too"
        )
    ids = np.maximum(as_ids(segmentation), 0).astype(np.int32)
    table = []
    for one in segments_info:
        score = None if one.get("score") is None else float(one["score"])
        table.append((int(one["id"]), int(one["category_id"]), score, bool(one.get("iscrowd", False))))
    return ids, table


def detections(
    segments: Sequence[Segment],
    masks: Bool[np.ndarray, "n h w"],
    categories: Categories,
    *,
    compact: bool = False,
) -> "supervision.Detections":
    """`supervision.Detections` of these segments; raises MissingExtraError where that is not installed."""
    package = require_extra("supervision", "supervision")
    held: Any = masks
    if compact and len(masks):
        if not hasattr(package, "CompactMask"):
            raise InputError("this supervision has no CompactMask; install supervision 0.30 or newer")
        # here the last column and row belong to a box
        tight = np.array([(x, y, x + w - 1, y + h - 1) for x, y, w, h in (one.box for one in segments)])
        held = package.CompactMask.from_dense(masks, tight, image_shape=masks.shape[1:])
    boxes = np.array([segment.box for segment in segments], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = [segment.score for segment in segments if segment.score is not None]
    found: supervision.Detections = package.Detections(
        xyxy=boxes,
        mask=held,
        confidence=np.array(scores, dtype=np.float32) if len(scores) == len(segments) else None,
        class_id=np.array([segment.category for segment in segments], dtype=np.int64),
        tracker_id=np.array([segment.id for segment in segments], dtype=np.int64),
        data={
            "class_name": np.array([categories[s.category].name for s in segments], dtype=np.str_),
            "segment_id": np.array([segment.id for segment in segments], dtype=np.int64),
            "iscrowd": np.array([segment.is_crowd for segment in segments], dtype=np.bool_),
        },
    )
    return found


def map_of(detections: "supervision.Detections") -> tuple[Int32[np.ndarray, "h w"], list[tuple[Any, ...]]]:
    """Ids and table, as `PanopticMap.from_table` takes them, of detections that do not overlap.

    Raises InputError as `PanopticMap.from_supervision` says.
    """
    if detections.mask is None or detections.class_id is None:
        raise InputError(
            "detections without mask or class_id cannot become a map; use those of a segmentation"
        )
    count = len(detections.mask)
    given: Any = detections.tracker_id
    if given is None:
        given = detections.data.get("segment_id", np.arange(1, count + 1))
    numbers = np.asarray(given, dtype=np.int64)
    if len(np.unique(numbers)) < count or (count and not 0 < numbers.min() <= numbers.max() < ID_LIMIT):
        raise InputError(f"ids {numbers.tolist()} are not distinct numbers of 1..{ID_LIMIT - 1}")
    masks = np.asarray(detections.mask, dtype=np.bool_)
    if count and int(masks.sum(0, dtype=np.uint16).max(initial=0)) > 1:
        raise InputError("masks overlap: in a map each pixel has one segment; merge them first")
    ids = np.zeros(masks.shape[1:], np.int32)
    for id, mask in zip(numbers.tolist(), masks, strict=True):
        ids[mask] = id
    scores = [None] * count if detections.confidence is None else detections.confidence.tolist()
    crowds = np.asarray(detections.data.get("iscrowd", np.zeros(count)), dtype=np.bool_).tolist()
    return ids, list(zip(numbers.tolist(), detections.class_id.tolist(), scores, crowds, strict=True))
