"""labelme's JSON files, one per image: every shape that has an area in, masks out.

A file is {"imagePath", "imageHeight", "imageWidth", "shapes": [{"label", "points", "shape_type",
"group_id"}]}. Later shapes lie on top of earlier ones. Shapes with the same label and group_id are parts of
one object. What is written has the segment's id as `segment_id`, a key that labelme keeps (a group_id would
join a copy with its original). Shapes are polygons, rectangles, circles, masks, and rectangles with four
corners (`oriented_rectangle` of labelme 6, `rotation` of X-AnyLabeling); lines and points cover nothing and
are left out. Corners are pixel indices and outlines belong to a shape, as labelme itself draws them: a
rectangle from 91, 46 to 96, 60 has 6 x 15 pixels. Source: https://github.com/wkentaro/labelme, the README and
the files that labelme 4 to 7 write.
"""

import base64
import binascii
import io
import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from pansight.errors import DataError, InputError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Written,
    write_text,
)
from pansight.formats.annotation.losses import NO_AREA, RESIZED, Lost
from pansight.formats.annotation.objects import (
    VOID_LABELS,
    AnnotatedImage,
    AnnotatedObject,
    Crop,
    clipped,
    id_in,
    is_picture_size,
    objects_of,
)
from pansight.formats.annotation.runs import drawn_circle, drawn_polygon, drawn_rectangle
from pansight.formats.coco_files import BROKEN_PICTURE, is_crowd_flag
from pansight.panoptic import PanopticMap

PathLike = str | os.PathLike[str]

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".JPG", ".JPEG", ".PNG")

_NO_AREA_SHAPES = ("line", "linestrip", "point", "points")
"""Shapes that cover nothing: they are left out, and counted."""

_NEEDED = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2, "rotation": 4, "oriented_rectangle": 4}
"""The shapes that cover something, and the points that each needs."""


def is_labelme(path: Path) -> bool:
    """Whether this is a file of labelme, or a folder that holds one among its first JSON files."""
    if not path.is_dir() and path.suffix.lower() != ".json":
        return False
    for number, file in enumerate(sorted(path.rglob("*.json")) if path.is_dir() else [path]):
        if number == 20:
            break
        try:
            _read(file)
        except DataError:
            continue
        return True
    return False


class LabelmeReader(AnnotationReader):
    """A folder of labelme files, folders below it included, or one such file; see the module.

    Images have the ids 1, 2, 3 ... in the order of the files' names. `pictures_elsewhere`: the folder of the
    images, when they all lie outside of `path`.
    """

    def __init__(self, path: PathLike, images: Path | None = None, skip: Collection[Path] = ()) -> None:
        """Raises InputError when no JSON file lies there, other than those to `skip`."""
        self.where = Path(path)
        self._files = find_files(path, skip)
        self._skip = skip
        pictures = _Pictures(self.where if self.where.is_dir() else self.where.parent)
        self.names = [pictures.name(file) for file in self._files]
        self.pictures_elsewhere = pictures.elsewhere
        self.image_ids = range(1, len(self._files) + 1)

    @property
    def classes(self) -> Sequence[ClassRow]:  # type: ignore[override]
        """Every label that occurs, in alphabetical order."""
        return [ClassRow(label) for label in find_labels(self.where, self._skip)]

    def read(self, index: int) -> AnnotatedImage:
        file = self._files[index]
        content = _read(file)
        height, width = _size(file, content)
        lost: list[Lost] = []
        objects = []
        for position, shape in enumerate(content["shapes"]):
            where = f"{file}: shape {position}"
            label = shape.get("label") if isinstance(shape, dict) else None
            if not isinstance(label, str):
                raise DataError(f"{where} has no label; correct it")
            called = f"{file.name}, shape {position} ({label})"
            if shape.get("shape_type") in _NO_AREA_SHAPES:
                lost.append(Lost(NO_AREA, called))
                continue
            crop = _shape_mask(shape, height, width, where, called, lost)
            group = shape.get("group_id")
            score = shape.get("score")
            objects.append(
                AnnotatedObject(
                    label,
                    *crop,
                    group=None if group is None else str(group),
                    is_crowd=_is_crowd(shape),
                    score=float(score) if isinstance(score, int | float) and score == score else None,
                    id=id_in(shape.get("segment_id")),
                    name=called,
                )
            )
        return AnnotatedImage(self.names[index], height, width, tuple(objects), tuple(lost))


class LabelmeWriter(AnnotationWriter):
    """A JSON for each image, named like it, with one mask per segment; labels.txt for `labelme --labels`.

    The images belong next to the JSON files. A crowd has the flag `iscrowd`; scores are an extra key, which
    labelme keeps.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "labels.txt")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / picture.name

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_shape(one) for one in objects_of(panoptic)],
            "imagePath": Path(picture.name.replace("\\", "/")).name,
            "imageData": None,
            "imageHeight": panoptic.height,
            "imageWidth": panoptic.width,
        }
        path = write_text(Path(f"{self.folder / picture.stem}.json"), json.dumps(content, indent=1))
        return Written(None, files=(path,))

    def _save(self, rows: Sequence[Any]) -> Path:
        lines = ["__ignore__", "_background_", *self.categories.names]
        write_text(self.folder / "labels.txt", "\n".join(lines) + "\n")
        return self.folder


def find_files(folder: PathLike, skip: Collection[Path] = ()) -> list[Path]:
    """The JSON files in a folder and those below it, by name; a file itself. Raises InputError when there are
    none."""
    skipped = {path.resolve() for path in skip}
    if Path(folder).is_file():
        return [Path(folder)]
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of the labelme files")
    files = sorted(path for path in Path(folder).rglob("*.json") if not path.name.startswith("."))
    files = [path for path in files if path.resolve() not in skipped and path.name != "classes.json"]
    if not files:
        raise InputError(f"{folder}: no JSON files in it; give the folder of the labelme files")
    return files


def find_labels(folder: PathLike, skip: Collection[Path] = ()) -> list[str]:
    """All labels in the files of a folder, in alphabetical order; broken files are skipped."""
    labels: set[str] = set()
    strange = 0
    files = find_files(folder, skip)
    for file in files:
        try:
            shapes = _read(file)["shapes"]
        except DataError:
            strange += 1
            continue
        labels.update(
            shape["label"]
            for shape in shapes
            if isinstance(shape, dict)
            and isinstance(shape.get("label"), str)
            and shape.get("shape_type") not in _NO_AREA_SHAPES
        )
    if strange == len(files):
        raise InputError(
            f'{folder}: none of its {strange} JSON files is one of labelme\'s, with a list "shapes"; '
            "give a folder of those, or a JSON of COCO instances"
        )
    return sorted(labels - set(VOID_LABELS))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}); check the file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: no JSON file ({error}); correct or remove it") from error
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise DataError(f'{file}: no list "shapes" in it, as labelme writes it; remove it from the folder')
    return content


class _Pictures:
    """Where the images of labelme files are: next to them, where they say, or elsewhere below the folder.

    `elsewhere`: the folder of those that lie outside of `folder`, when all do that do not lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._below: dict[str, list[Path]] | None = None
        self.elsewhere: Path | None = None

    def name(self, file: Path) -> str:
        """The image of a file relative to the folder; if it is outside, as if it were next to the file."""
        for suffix in _PICTURES:
            if file.with_suffix(suffix).is_file():
                return file.with_suffix(suffix).relative_to(self._folder).as_posix()
        try:
            named = _read(file).get("imagePath")
        except DataError:
            named = None
        # Labelme on Windows writes backslashes.
        base = PureWindowsPath(named).name if isinstance(named, str) else ""
        if not base:
            return file.with_suffix(".jpg").relative_to(self._folder).as_posix()
        said = Path(os.path.normpath(file.parent / str(named).replace("\\", "/")))
        within = Path(os.path.normpath(self._folder))
        if os.path.isfile(said):  # noqa: PTH113  (no error for names that are too long)
            if said.is_relative_to(within):
                return said.relative_to(within).as_posix()
            depth = len(file.parent.relative_to(self._folder).parts)
            self.elsewhere = said.parents[min(depth, len(said.parents) - 1)]
        elif len(found := self._all().get(base, [])) == 1:
            return found[0].relative_to(self._folder).as_posix()
        return file.with_name(base).relative_to(self._folder).as_posix()

    def _all(self) -> dict[str, list[Path]]:
        """Every image below the folder, by its name."""
        if self._below is None:
            self._below = {}
            for path in sorted(self._folder.rglob("*")):
                if path.suffix in _PICTURES:
                    self._below.setdefault(path.name, []).append(path)
        return self._below


def _size(file: Path, content: dict[str, Any]) -> tuple[int, int]:
    """Height and width: those that the file says, else those of its image."""
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        if not is_picture_size(height, width):
            raise DataError(f"{file}: says that its image is {width} x {height} pixels; correct it")
        return height, width
    named = content.get("imagePath")
    picture = file.parent / named.replace("\\", "/") if isinstance(named, str) else file.with_suffix(".jpg")
    try:
        with Image.open(picture) as opened:
            turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # labelme shows the upright image
            return (opened.width, opened.height) if turned else (opened.height, opened.width)
    except BROKEN_PICTURE as error:
        raise DataError(
            f"{file}: says no imageHeight and imageWidth, and its image {picture.name} cannot be read; "
            "put the image there"
        ) from error


def _is_crowd(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and any(is_crowd_flag(flags.get(key)) for key in ("iscrowd", "crowd"))


def _shape_mask(
    shape: dict[str, Any], height: int, width: int, where: str, called: str, lost: list[Lost]
) -> Crop:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.asarray(shape.get("points"), dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1:] != (2,) or not np.isfinite(points).all():
        raise DataError(f"{where} ({kind}) has no list of points [x, y]; correct it")
    if not isinstance(kind, str) or kind not in _NEEDED:
        raise DataError(
            f"{where} has the shape_type {kind!r}, which labelme does not have and tools mean in different "
            f"ways; known are {', '.join(_NEEDED)}; draw it as a polygon"
        )
    if len(points) < _NEEDED[kind]:
        raise DataError(
            f"{where} is a {kind} of {len(points)} points, {_NEEDED[kind]} are needed; correct it"
        )
    x, y = points.T
    if kind == "circle":
        nothing = bool((points[0] == points[1]).all())
    elif kind == "rectangle":
        nothing = bool((points[0] == points[1]).any())
    else:
        nothing = kind != "mask" and not float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    if nothing:  # a slip of the mouse; drawn, its outline would be an object
        return Crop(np.zeros((0, 0), np.bool_), 0, 0)
    try:
        if kind == "mask":
            return _pasted(shape, points, height, width, where, called, lost)
        if kind == "rectangle":
            return drawn_rectangle(points[:2], height, width)
        if kind == "circle":
            return drawn_circle(points[0], float(np.hypot(*(points[1] - points[0]))), height, width)
        return drawn_polygon([points], height, width)
    except DataError as error:
        if str(error).startswith(where):
            raise
        raise DataError(f"{where} ({kind}) {error}; correct it") from error


def _pasted(
    shape: dict[str, Any],
    points: np.ndarray,
    height: int,
    width: int,
    where: str,
    called: str,
    lost: list[Lost],
) -> Crop:
    """A mask: a small PNG in base64, laid where the first of the two points is, rounded half to even."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"], validate=True))) as opened:
            small: Bool[np.ndarray, "rows columns"] = np.asarray(opened.convert("L")) > 0
    except (KeyError, TypeError, binascii.Error, *BROKEN_PICTURE) as error:
        raise DataError(f"{where} is a mask whose image cannot be read; draw it again") from error
    left, top = (int(side) for side in np.round(points.min(axis=0)))
    right, bottom = (int(side) for side in np.round(points.max(axis=0)))
    # Before labelme 6.3 the corners could be dragged without the pixels.
    if abs(right - left + 1 - small.shape[1]) > 1 or abs(bottom - top + 1 - small.shape[0]) > 1:
        lost.append(Lost(RESIZED, called))
    return clipped(small, left, top, height, width)


def _shape(one: AnnotatedObject) -> dict[str, Any]:
    height, width = one.mask.shape
    png = io.BytesIO()
    Image.fromarray(one.mask.astype(np.uint8)).save(png, format="PNG")
    row: dict[str, Any] = {
        "label": one.label,
        "points": [[one.left, one.top], [one.left + width - 1, one.top + height - 1]],
        "group_id": None,
        "segment_id": one.id,
        "description": "",
        "shape_type": "mask",
        "flags": {"iscrowd": True} if one.is_crowd else {},
        "mask": base64.b64encode(png.getvalue()).decode("ascii"),
    }
    if one.score is not None:
        row["score"] = one.score
    return row
