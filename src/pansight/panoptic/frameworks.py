"""Segments as the rows that detectron2, Hugging Face transformers and supervision have for them.

All three speak of categories by contiguous index, as their models give it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int32

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


def detections(
    segments: Sequence[Segment], masks: Bool[np.ndarray, "n h w"], categories: Categories
) -> "supervision.Detections":
    """`supervision.Detections` of these segments; raises MissingExtraError where that is not installed."""
    package = require_extra("supervision", "supervision")
    boxes = np.array([segment.box for segment in segments], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = [segment.score for segment in segments if segment.score is not None]
    found: supervision.Detections = package.Detections(
        xyxy=boxes,
        mask=masks,
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
    """Ids and table, as `PanopticMap.from_table` wants them, of detections that do not overlap.

    Raises InputError as `PanopticMap.from_supervision` says.
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
    return ids, list(zip(numbers.tolist(), detections.class_id.tolist(), scores, crowds, strict=True))
