"""COCO-panoptic annotations as rows of a map, and rows as annotations; `PanopticMap` does the rest.

COCO numbers categories by the data set's id, a map by contiguous index.
Source: https://cocodataset.org/#format-data, section 4.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError
from pansight.panoptic.segment import Segment

Row = tuple[int, int, Any, bool]
"""id, contiguous category, score or None, whether it is a crowd"""


def is_crowd_flag(value: Any) -> bool:
    """What `iscrowd` of a segment says: the one rule for all that read COCO-style JSON.

    True, 1 and the text "1" are a crowd; False, 0, the text "0" and None (a key that is missing) are not.
    Exporters write all of these, and `bool("0")` is True.

        is_crowd_flag(row.get("iscrowd"))

    Raises DataError, naming the value, for anything else.
    """
    if value is None:
        return False
    if isinstance(value, bool | int | float | str):
        if value in (0, "0"):
            return False
        if value in (1, "1"):
            return True
    raise DataError(f"iscrowd is {value!r:.40}, which is neither 0 nor 1; correct it")


def segments_info(segments: Sequence[Segment], categories: Categories) -> list[dict[str, Any]]:
    """The rows of an annotation; a segment has the key "score" when it has a score."""
    rows = []
    for segment in segments:
        row: dict[str, Any] = {
            # the json module does not accept NumPy's numbers
            "id": int(segment.id),
            "category_id": int(categories[segment.category].dataset_id),
            "area": int(segment.area),
            "bbox": [int(side) for side in segment.box],
            "iscrowd": int(segment.is_crowd),
        }
        if segment.score is not None:
            row["score"] = float(segment.score)
        rows.append(row)
    return rows


def source_of(annotation: Mapping[str, Any]) -> str:
    """What messages call an annotation: its file, else its image's id."""
    return str(annotation.get("file_name") or f"image {annotation.get('image_id', 'without id')}")


def table_of(annotation: Mapping[str, Any], categories: Categories) -> list[Row]:
    """The rows that `PanopticMap.from_table` takes.

    Raises DataError, naming the annotation, for rows that are broken; CategoryError for a category id that
    `categories` does not have.
    """
    source = source_of(annotation)
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
            crowd = is_crowd_flag(row.get("iscrowd"))
        except CategoryError as error:
            raise CategoryError(f"annotation of {source}, segment {id}: {error}") from error
        except DataError as error:
            raise DataError(f"annotation of {source}, segment {id}: {error}") from error
        table.append((id, category, row.get("score"), crowd))
    return table
