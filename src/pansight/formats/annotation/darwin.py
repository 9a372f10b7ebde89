"""V7's Darwin JSON 2.0: a raster layer in and out, polygons with holes and boxes in.

Source: https://docs.v7labs.com/reference/darwin-json and darwin-py 3.6. A raster layer is pairs of value and
count along the rows, one number per pixel, 0 for none; `mask_annotation_ids_mapping` says which annotation a
number is. Corners lie on pixel edges, as in COCO.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from pansight.errors import DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Written,
    load_json,
    peek_json,
    write_text,
)
from pansight.formats.annotation.losses import NO_AREA, NO_CROWD, NO_PIXELS, Lost
from pansight.formats.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    Crop,
    clipped,
    cropped,
    id_in,
    is_picture_size,
)
from pansight.formats.coco_masks import decode_segmentation
from pansight.panoptic import PanopticMap

_LAYER = "__raster_layer__"
_SLOT = "0"


def _is_darwin_file(path: Path) -> bool:
    content = peek_json(path)
    return (
        isinstance(content, dict)
        and isinstance(content.get("item"), dict)
        and isinstance(content.get("annotations"), list)
        and str(content.get("version", "")).startswith("2")
    )


def is_darwin(path: Path) -> bool:
    """Whether this is a Darwin JSON 2.0, or a folder of them."""
    if not path.is_dir():
        return _is_darwin_file(path)
    files = (file for file in sorted(path.rglob("*.json")) if file.name != "classes.json")
    first = next(files, None)
    return first is not None and _is_darwin_file(first)


class DarwinReader(AnnotationReader):
    """The JSON files of a folder, or one of them; see the module."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when there is no such file, or one of them cannot be read."""
        self.where = path
        listed = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        self._files = [file for file in listed if _is_darwin_file(file)]
        if not self._files:
            raise DataError(f"{path}: no Darwin JSON 2.0 (with item and annotations) in it; check the folder")
        labels: dict[str, None] = {}
        self.names = []
        for file in self._files:
            content = load_json(file)
            folder = str(content["item"].get("path") or "").strip("/")
            name = str(content["item"].get("name") or f"{file.stem}.jpg")
            self.names.append(f"{folder}/{name}" if folder else name)
            rows = (one for one in content["annotations"] if isinstance(one, dict))
            labels.update({str(one.get("name")): None for one in rows if one.get("name") != _LAYER})
        self.classes = [ClassRow(label) for label in labels]
        self.image_ids = list(range(1, len(self._files) + 1))

    def read(self, index: int) -> AnnotatedImage:
        file, name = self._files[index], self.names[index]
        content = load_json(file)
        try:
            slot = content["item"]["slots"][0]
            height, width = int(slot["height"]), int(slot["width"])
            rows = [
                one
                for one in content["annotations"]
                if one.get("slot_names", [_SLOT])[:1] in ([], [slot["slot_name"]])
            ]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file}: lacks the size of its slot ({error}); export it again") from error
        if not is_picture_size(height, width):
            raise DataError(f"{file}: is said to be {width} x {height} pixels, which none can be")
        layers = dict(_layers(rows, height, width, f"{file}: {name}"))
        objects, lost = [], []
        for position, row in enumerate(rows):
            label = str(row.get("name"))
            if label == _LAYER:
                continue
            called = f"{name}, annotation {position} ({label})"
            try:
                crop = layers.get(str(row.get("id"))) if "mask" in row else _drawn(row, height, width)
            except (DataError, KeyError, TypeError, ValueError) as error:
                raise DataError(f"{file}: {called} cannot be drawn ({error}); correct it") from error
            if crop is None:
                lost.append(Lost(NO_PIXELS if "mask" in row else NO_AREA, called))
                continue
            instance = row.get("instance_id")
            group = instance.get("value") if isinstance(instance, dict) else None
            objects.append(AnnotatedObject(label, *crop, group=group, id=id_in(group), name=called))
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))


class DarwinWriter(AnnotationWriter):
    """NAME.json with one raster layer, number 1, 2 ... for each segment of the map in order."""

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        named = [
            (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{picture.stem}/{segment.id}")), segment)
            for segment in panoptic.segments
        ]
        layer = panoptic.paint(list(range(1, len(named) + 1)))
        rows: list[dict[str, Any]] = []
        if named:
            raster = {
                "dense_rle": _pairs(layer),
                "mask_annotation_ids_mapping": {id: number for number, (id, _) in enumerate(named, start=1)},
                "total_pixels": panoptic.height * panoptic.width,
            }
            own = str(uuid.uuid5(uuid.NAMESPACE_URL, picture.stem))
            rows.append(_row(own, _LAYER, raster_layer=raster))
        lost = []
        for id, segment in named:
            label = panoptic.categories[segment.category].name
            rows.append(_row(id, label, mask={}, instance_id={"value": segment.id}))
            if segment.is_crowd:
                lost.append(Lost(NO_CROWD, f"segment {segment.id} ({label})"))
        within, _, base = picture.name.replace("\\", "/").rpartition("/")
        slot = {
            "type": "image",
            "slot_name": _SLOT,
            "width": panoptic.width,
            "height": panoptic.height,
            "source_files": [{"file_name": base, "url": ""}],
        }
        item = {"name": base, "path": f"/{within}", "slots": [slot]}
        content = {"version": "2.0", "item": item, "annotations": rows}
        path = write_text(self.folder / f"{picture.stem}.json", json.dumps(content))
        return Written(None, tuple(lost), (path,))


def _row(id: str, name: str, **what: Any) -> dict[str, Any]:
    return {"id": id, "name": name, **what, "properties": [], "slot_names": [_SLOT]}


def _pairs(layer: Int32[np.ndarray, "h w"]) -> list[int]:
    """Value and count of the runs along the rows."""
    flat = layer.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    counts = np.diff(np.concatenate([starts, [len(flat)]]))
    pairs: list[int] = np.stack([flat[starts], counts], axis=1).ravel().tolist()
    return pairs


def _layers(rows: list[Any], height: int, width: int, where: str) -> Iterator[tuple[str, Crop]]:
    """The mask of every annotation that a raster layer holds. Raises DataError when lengths do not add up."""
    for row in rows:
        if row.get("name") != _LAYER:
            continue
        try:
            raster = row["raster_layer"]
            pairs = np.asarray(raster["dense_rle"], np.int64).reshape(-1, 2)
            mapping = {str(id): int(number) for id, number in raster["mask_annotation_ids_mapping"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where} has a raster layer that is broken ({error}); export it again"
            ) from error
        if (pairs[:, 1] < 0).any() or int(pairs[:, 1].sum()) != height * width:
            raise DataError(
                f"{where} has a raster layer of {int(pairs[:, 1].sum())} of {height * width} pixels; "
                "export it again"
            )
        layer = np.repeat(pairs[:, 0], pairs[:, 1]).reshape(height, width)
        for id, number in mapping.items():
            crop = cropped(layer == number)
            if crop.mask.size:
                yield id, crop


def _drawn(row: Mapping[str, Any], height: int, width: int) -> Crop | None:
    """The pixels of a polygon (holes by the even-odd rule) or a box; None for what has no area."""
    if "polygon" in row:
        polygon = row["polygon"]
        paths = polygon.get("paths") or [polygon["path"]]
        mask = np.zeros((height, width), np.bool_)
        for path in paths:
            corners = [float(point[axis]) for point in path for axis in ("x", "y")]
            mask ^= decode_segmentation([corners], height, width)
        return cropped(mask)
    if "bounding_box" in row:
        box = row["bounding_box"]
        left, top = round(float(box["x"])), round(float(box["y"]))
        right, bottom = round(float(box["x"]) + float(box["w"])), round(float(box["y"]) + float(box["h"]))
        return clipped(
            np.ones((max(bottom - top, 0), max(right - left, 0)), np.bool_), left, top, height, width
        )
    return None
