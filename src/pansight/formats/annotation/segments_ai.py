"""Segments.ai's release JSON with its bitmaps: a panoptic format, ids included.

Source: https://docs.segments.ai/reference/python-sdk and segments-ai 1.33. A bitmap is RGBA,
id = R + 256 G + 65536 B; alpha is 255 and not part of it; 0 is unlabelled. `has_instances` says what is a
thing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

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
    write_image,
    write_text,
)
from pansight.formats.annotation.id_maps import objects_in, size_only
from pansight.formats.annotation.objects import AnnotatedImage
from pansight.formats.coco_files import is_crowd_flag, read_ids
from pansight.panoptic import PanopticMap, ids_to_rgb

_LABELSET = "ground-truth"


def is_segments_ai(path: Path) -> bool:
    """Whether this is a release JSON, or a folder with one."""
    return _release_file(path) is not None


def _release_file(path: Path) -> Path | None:
    for file in sorted(path.glob("*.json"))[:5] if path.is_dir() else [path]:
        content = peek_json(file)
        data = content.get("dataset") if isinstance(content, dict) else None
        if isinstance(data, dict) and isinstance(data.get("samples"), list):
            return file
    return None


class SegmentsAiReader(AnnotationReader):
    """The samples of a release, in the label set `labelset`, by default the first that has labels."""

    def __init__(self, path: Path, images: Path | None = None, labelset: str | None = None) -> None:
        """Raises DataError when it is not a release of Segments.ai with categories."""
        found = _release_file(path)
        if found is None:
            raise DataError(f"{path}: no release JSON of Segments.ai in it; download the release file")
        self.where = found
        data = load_json(found)["dataset"]
        try:
            rows = data["task_attributes"]["categories"]
            self.classes = [
                ClassRow(
                    str(row["name"]),
                    bool(row.get("has_instances", True)),
                    int(row["id"]),
                    _color(row.get("color")),
                )
                for row in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{found}: no categories with name and id in it; download it again") from error
        self._names = {row.id: row.name for row in self.classes}
        samples = [row for row in data["samples"] if isinstance(row, dict)]
        sets = [name for row in samples for name, label in (row.get("labels") or {}).items() if label]
        self._labelset = labelset or (sets[0] if sets else _LABELSET)
        self.names = [str(row.get("name")) for row in samples]
        self.image_ids = list(range(1, len(samples) + 1))
        self._labels = [json.dumps((row.get("labels") or {}).get(self._labelset)) for row in samples]
        self._pictures = Pictures(*([images] if images else []), found.parent)

    def read(self, index: int) -> AnnotatedImage:
        name = self.names[index]
        label = json.loads(self._labels[index])
        attributes = label.get("attributes") if isinstance(label, dict) else None
        if not isinstance(attributes, dict) or not attributes.get("segmentation_bitmap"):
            return size_only(name, *self._pictures.size(name, "it has no label that says its size"))
        where = f"{self.where}: sample {name!r}"
        address = str((attributes["segmentation_bitmap"] or {}).get("url"))
        file = self._pictures.find(unquote(urlparse(address).path))
        if file is None:
            file = self._pictures.find(f"{Path(name).with_suffix('')}_label_{self._labelset}.png")
        if file is None:
            raise DataError(f"{where}: its bitmap {address} lies neither here nor in --images; download it")
        rows = []
        for row in attributes.get("annotations") or ():
            try:
                id, label = int(row["id"]), self._names[int(row["category_id"])]
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where} has an annotation without a known category ({error})") from error
            more = row.get("attributes") if isinstance(row.get("attributes"), dict) else {}
            rows.append((id, label, is_crowd_flag(more.get("iscrowd")), more.get("score")))
        return objects_in(read_ids(file), rows, name)


class SegmentsAiWriter(AnnotationWriter):
    """release.json and NAME_label_ground-truth.png; ids are those of the map.

    Crowds and scores are attributes of an annotation.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "release.json")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / picture.name

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        rgb = ids_to_rgb(panoptic.ids)
        alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        file = f"{picture.stem}_label_{_LABELSET}.png"
        path = write_image(self.folder / file, np.concatenate([rgb, alpha], axis=2))
        annotations = []
        for segment in panoptic.segments:
            row: dict[str, Any] = {
                "id": segment.id,
                "category_id": int(panoptic.categories[segment.category].dataset_id),
            }
            more: dict[str, Any] = {"iscrowd": True} if segment.is_crowd else {}
            more |= {} if segment.score is None else {"score": segment.score}
            annotations.append({**row, "attributes": more} if more else row)
        label = {
            "label_status": "LABELED"
            if all(one.score is None for one in panoptic.segments)
            else "PRELABELED",
            "attributes": {
                "format_version": "0.1",
                "annotations": annotations,
                "segmentation_bitmap": {"url": file},
            },
        }
        sample = {
            "name": picture.name,
            "attributes": {"image": {"url": picture.name}},
            "labels": {_LABELSET: label},
        }
        return Written(json.dumps(sample), files=(path,))

    def _save(self, rows: Sequence[Any]) -> Path:
        categories = [
            {
                "name": item.name,
                "id": int(item.dataset_id),
                "color": list(item.color),
                "has_instances": bool(item.is_thing),
            }
            for item in self.categories
        ]
        content = {
            "name": "pansight",
            "dataset": {
                "name": "pansight",
                "task_type": "segmentation-bitmap",
                "task_attributes": {"format_version": "0.1", "categories": categories},
                "labelsets": [{"name": _LABELSET}],
                "samples": [json.loads(row) for row in rows],
            },
        }
        return write_text(self.folder / "release.json", json.dumps(content))


def _color(value: Any) -> tuple[int, int, int] | None:
    if isinstance(value, list) and len(value) >= 3 and all(isinstance(one, int) for one in value[:3]):
        return value[0], value[1], value[2]
    return None
