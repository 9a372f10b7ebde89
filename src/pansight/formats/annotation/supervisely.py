"""Supervisely's project: bitmaps, polygons with holes and rectangles in, bitmaps out.

Source: https://docs.supervisely.com/data-organization/00_ann_format_navi and supervisely 6.74. A bitmap is
base64(zlib(PNG)) laid at `origin`; corners are pixel indices, both sides of a rectangle included; parts of an
object share `instance`; later objects lie on top. A crowd has the tag `iscrowd`, a score the tag `score`.
"""

import base64
import binascii
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

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
from pansight.formats.annotation.losses import NO_AREA, Lost
from pansight.formats.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    Crop,
    clipped,
    id_in,
    objects_of,
)
from pansight.formats.annotation.runs import drawn_polygon, drawn_rectangle
from pansight.formats.coco_files import BROKEN_PICTURE
from pansight.panoptic import PanopticMap

_CROWD, _SCORE = "iscrowd", "score"
_DATASET = "ds0"


def is_supervisely(path: Path) -> bool:
    """Whether this is a project: meta.json with classes, and DATASET/ann/."""
    content = peek_json(path / "meta.json") if path.is_dir() else None
    listed = isinstance(content, dict) and isinstance(content.get("classes"), list)
    return listed and next(path.rglob("ann"), None) is not None


class SuperviselyReader(AnnotationReader):
    """All data sets of a project; see the module."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when meta.json cannot be read or there are no annotations."""
        self.where = path
        content = load_json(path / "meta.json")
        try:
            self.classes = [
                ClassRow(str(row["title"]), color=_color(row.get("color"))) for row in content["classes"]
            ]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path / 'meta.json'}: no classes with a title in it; export again") from error
        self._files = sorted(file for file in path.rglob("*.json") if file.parent.name == "ann")
        if not self._files:
            raise DataError(f"{path}: no annotations (DATASET/ann/*.json) in it; check the folder")
        sets = {file.parent.parent for file in self._files}
        base = next(iter(sets)) if len(sets) == 1 else path
        self.names = [
            (file.parent.parent / file.name).relative_to(base).as_posix().removesuffix(".json")
            for file in self._files
        ]
        self.image_ids = list(range(1, len(self._files) + 1))

    def read(self, index: int) -> AnnotatedImage:
        file, name = self._files[index], self.names[index]
        content = load_json(file)
        try:
            height, width = int(content["size"]["height"]), int(content["size"]["width"])
            rows = list(content["objects"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file}: lacks size or objects ({error}); export it again") from error
        objects, lost = [], []
        for position, row in enumerate(rows):
            label = str(row.get("classTitle"))
            called = f"{name}, object {row.get('id', position)} ({label})"
            try:
                crop = _crop(row, height, width)
            except (DataError, KeyError, TypeError, ValueError) as error:
                reason = str(error) if isinstance(error, DataError) else f"lacks or garbles {error}"
                raise DataError(f"{file}: {called} {reason}; correct it") from error
            if crop is None:
                lost.append(Lost(NO_AREA, called))
                continue
            tags = {
                str(tag.get("name")): tag.get("value")
                for tag in row.get("tags") or ()
                if isinstance(tag, dict)
            }
            score = tags.get(_SCORE)
            objects.append(
                AnnotatedObject(
                    label,
                    *crop,
                    group=row.get("instance"),
                    is_crowd=_CROWD in tags,
                    score=float(score) if isinstance(score, int | float) else None,
                    id=id_in(row.get("id")),
                    name=called,
                )
            )
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))


class SuperviselyWriter(AnnotationWriter):
    """meta.json and DATASET/ann/NAME.EXT.json; the images belong in DATASET/img/.

    A data set is a folder of images; images in none are in ds0.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "meta.json")

    def image_path(self, picture: Picture) -> Path:
        within, _, base = picture.name.replace("\\", "/").rpartition("/")
        return self.folder / (within or _DATASET) / "img" / base

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        indices = {segment.id: segment.category + 1 for segment in panoptic.segments}
        objects = []
        for one in objects_of(panoptic):
            tags: list[dict[str, Any]] = [{"name": _CROWD, "value": None}] if one.is_crowd else []
            if one.score is not None:
                tags.append({"name": _SCORE, "value": one.score})
            objects.append(
                {
                    "id": one.id,
                    "classId": indices[one.id or 0],
                    "classTitle": one.label,
                    "description": "",
                    "geometryType": "bitmap",
                    "tags": tags,
                    "bitmap": {"data": _packed(one.mask), "origin": [one.left, one.top]},
                }
            )
        size = {"height": panoptic.height, "width": panoptic.width}
        content = {"description": "", "tags": [], "size": size, "objects": objects}
        # the name of an image keeps its ending before .json
        ending = Path(picture.name.replace("\\", "/")).suffix or ".jpg"
        within, _, base = picture.stem.rpartition("/")
        path = Path(f"{self.folder / (within or _DATASET) / 'ann' / base}{ending}.json")
        return Written(None, files=(write_text(path, json.dumps(content)),))

    def _save(self, rows: Sequence[Any]) -> Path:
        classes = [
            {
                "title": item.name,
                "shape": "bitmap",
                "color": "#{:02X}{:02X}{:02X}".format(*item.color),
                "geometry_config": {},
                "id": number,
                "hotkey": "",
            }
            for number, item in enumerate(self.categories, start=1)
        ]
        tags = [
            {"name": name, "value_type": kind, "color": "#FFCC00", "id": number, "hotkey": ""}
            for number, (name, kind) in enumerate(((_CROWD, "none"), (_SCORE, "any_number")), start=1)
        ]
        content = {"classes": classes, "tags": tags, "projectType": "images"}
        write_text(self.folder / "meta.json", json.dumps(content, indent=1))
        return self.folder


def _color(text: Any) -> tuple[int, int, int] | None:
    try:
        red, green, blue = bytes.fromhex(str(text).removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _crop(row: Mapping[str, Any], height: int, width: int) -> Crop | None:
    """The pixels of an object; None where its geometry has no area."""
    kind = row.get("geometryType")
    if kind in ("bitmap", "alpha_mask"):
        bitmap = row[kind] if kind in row else row["bitmap"]
        left, top = (int(side) for side in bitmap["origin"])
        return clipped(_unpacked(str(bitmap["data"])), left, top, height, width)
    if kind == "polygon":
        rings = [row["points"]["exterior"], *(row["points"].get("interior") or ())]
        if len(rings[0]) < 3:
            raise DataError(f"is a polygon of {len(rings[0])} corners")
        return drawn_polygon([np.round(np.asarray(ring, np.float64)) for ring in rings], height, width)
    if kind == "rectangle":
        return drawn_rectangle(np.asarray(row["points"]["exterior"], np.float64), height, width)
    return None


def _packed(mask: Bool[np.ndarray, "h w"]) -> str:
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    png = io.BytesIO()
    image.save(png, format="PNG", transparency=0, bits=1)
    return base64.b64encode(zlib.compress(png.getvalue())).decode("ascii")


def _unpacked(text: str) -> Bool[np.ndarray, "h w"]:
    """Where alpha is above 0; without alpha, where a gray value is not 0."""
    try:
        content = base64.b64decode(text, validate=True)
        if not content.startswith(b"\x89PNG"):
            content = zlib.decompress(content)
        with Image.open(io.BytesIO(content)) as image:
            if image.mode in ("RGBA", "LA") or "transparency" in image.info:
                alpha: Bool[np.ndarray, "h w"] = np.asarray(image.convert("RGBA"))[..., 3] > 0
                return alpha
            gray: Bool[np.ndarray, "h w"] = np.asarray(image.convert("L")) > 0
            return gray
    except (binascii.Error, zlib.error, *BROKEN_PICTURE) as error:
        raise DataError(f"is a bitmap that cannot be read ({error})") from error
