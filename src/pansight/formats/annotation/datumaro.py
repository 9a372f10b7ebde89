"""Datumaro's own JSON: exact masks, groups, order, crowds and scores; nothing says what is stuff.

Source: https://open-edge-platform.github.io/datumaro, the format "datumaro", and datumaro 1.13; the one that
CVAT exports has the same annotations. Masks are COCO run lengths; label_id counts from 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from pansight.errors import DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Pictures,
    Written,
    load_json,
    peek_json,
    write_text,
)
from pansight.formats.annotation.losses import NO_AREA, Lost
from pansight.formats.annotation.objects import AnnotatedImage, AnnotatedObject, cropped, id_in, objects_of
from pansight.formats.coco_files import is_crowd_flag
from pansight.formats.coco_masks import decode_segmentation, encode_mask, polygon_mask
from pansight.panoptic import PanopticMap

_NO_SHAPE = ("label", "caption", "feature_vector", "tabular")
_SUBSET = "default"


def is_datumaro(path: Path) -> bool:
    """Whether this is a JSON of Datumaro, or a folder with annotations/SUBSET.json."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    candidates = sorted(path.glob("annotations/*.json")) if path.is_dir() else [path]
    return [file for file in candidates if _is_content(peek_json(file))]


def _is_content(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("items"), list)
        and isinstance(content.get("categories"), dict)
    )


class DatumaroReader(AnnotationReader):
    """The items of one subset or, given a folder, of all; see the module."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when there is no JSON of Datumaro, or two subsets list other labels."""
        files = _files(path)
        if not files:
            raise DataError(f"{path}: no JSON of Datumaro in it, with items and categories; check the path")
        self.where = path
        root = path if path.is_dir() else path.parent.parent
        self._pictures = Pictures(*([images] if images else []), root / "images", root)
        self.names, self._items = [], []
        self._labels: list[str] | None = None
        for file in files:
            content = load_json(file)
            try:
                labels = [str(row["name"]) for row in content["categories"]["label"]["labels"]]
            except (KeyError, TypeError) as error:
                raise DataError(f"{file}: no labels in its categories; export it again") from error
            if self._labels is not None and labels != self._labels:
                raise DataError(
                    f"{file}: lists other labels than {files[0].name}; convert one file at a time"
                )
            self._labels = labels
            for item in content["items"]:
                image = item.get("image") or item.get("media") or {}
                self.names.append(str(image.get("path") or item.get("id")))
                self._items.append(json.dumps(item))
        self.image_ids = list(range(1, len(self.names) + 1))
        self.classes = [ClassRow(name) for name in self._labels or ()]

    def read(self, index: int) -> AnnotatedImage:
        item, name = json.loads(self._items[index]), self.names[index]
        rows = [row for row in item.get("annotations") or () if isinstance(row, dict)]
        height, width = self._size(item, name, rows)
        objects, lost = [], []
        for position, row in enumerate(rows):
            kind = row.get("type")
            if kind in _NO_SHAPE:
                continue
            called = f"{name}, annotation {position} ({kind})"
            try:
                mask = _mask(row, height, width)
                label = (self._labels or [])[int(row["label_id"])]
                attributes = row.get("attributes") or {}
                crowd = is_crowd_flag(attributes.get("is_crowd"))
            except (DataError, KeyError, TypeError, ValueError, IndexError) as error:
                reason = error if isinstance(error, DataError) else f"lacks or garbles {error}"
                raise DataError(f"{self.where}: {called} {reason}; correct it") from error
            if mask is None:
                lost.append(Lost(NO_AREA, called))
                continue
            score = attributes.get("score")
            objects.append(
                AnnotatedObject(
                    label,
                    *cropped(mask),
                    group=row.get("group") or None,
                    is_crowd=crowd,
                    score=float(score) if isinstance(score, int | float) else None,
                    order=float(row.get("z_order") or 0),
                    id=id_in(row.get("id")),
                    name=f"{name}, annotation {position} ({label})",
                )
            )
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))

    def _size(self, item: Mapping[str, Any], name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        image = item.get("image") or item.get("media") or {}
        sizes = [image.get("size"), *((row.get("rle") or {}).get("size") for row in rows)]
        for size in sizes:
            if isinstance(size, list) and len(size) == 2:
                return int(size[0]), int(size[1])
        return self._pictures.size(name, "its item says no size")


class DatumaroWriter(AnnotationWriter):
    """annotations/default.json; the images belong in images/default/."""

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "annotations" / f"{_SUBSET}.json")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / "images" / _SUBSET / picture.name

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        annotations = []
        indices = {segment.id: segment.category for segment in panoptic.segments}
        for order, one in enumerate(objects_of(panoptic)):
            attributes: dict[str, Any] = {"occluded": False}
            if one.is_crowd:
                attributes["is_crowd"] = True
            if one.score is not None:
                attributes["score"] = one.score
            annotations.append(
                {
                    "id": one.id,
                    "type": "mask",
                    "attributes": attributes,
                    "group": 0,
                    "label_id": indices[one.id or 0],
                    "rle": encode_mask(panoptic.mask(one.id or 0)),
                    "z_order": order,
                }
            )
        image = {"path": picture.name, "size": [panoptic.height, panoptic.width]}
        return Written(json.dumps({"id": picture.stem, "annotations": annotations, "image": image}))

    def _save(self, rows: Sequence[Any]) -> Path:
        labels = [{"name": item.name, "parent": "", "attributes": []} for item in self.categories]
        colors = [
            {"label_id": index, **dict(zip("rgb", item.color, strict=True))}
            for index, item in enumerate(self.categories)
        ]
        head = {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {
                "label": {"labels": labels, "label_groups": [], "attributes": []},
                "mask": {"colormap": colors},
            },
        }
        text = json.dumps(head)[:-1] + ', "items": [\n' + ",\n".join(rows) + "\n]}\n"
        return write_text(self.folder / "annotations" / f"{_SUBSET}.json", text)


def _mask(row: Mapping[str, Any], height: int, width: int) -> Bool[np.ndarray, "h w"] | None:
    """The pixels of an annotation; None where its kind has no area."""
    kind = row.get("type")
    if kind == "mask":
        return decode_segmentation(row["rle"], height, width)
    if kind == "polygon":
        return polygon_mask(row["points"], height, width)
    if kind == "bbox":
        x, y, wide, high = (float(side) for side in row["bbox"])
        corners = np.array([[x, y], [x + wide, y], [x + wide, y + high], [x, y + high]])
        angle = np.deg2rad(float((row.get("attributes") or {}).get("rotation") or 0))
        centre = corners.mean(axis=0)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return polygon_mask(((corners - centre) @ turn + centre).ravel().tolist(), height, width)
    return None
