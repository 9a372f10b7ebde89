"""Polygons drawn with labelme, or a tool that writes its files, as a source of panoptic truth.

Shapes are polygons, rectangles, circles, masks, and rectangles with four corners (`oriented_rectangle` of
labelme 6, `rotation` of X-AnyLabeling); lines and points cover nothing and are left out.
A file is {"imagePath", "imageHeight", "imageWidth", "shapes": [{"label", "points", "shape_type",
"group_id"}]}. Later shapes lie on top of earlier ones. Shapes of a thing with the same label and group_id are
parts of one object; without a group_id every shape is an object of its own. All shapes of a stuff label are
one segment. Source: https://github.com/wkentaro/labelme, the README and the files that labelme 5 writes.
"""

import base64
import binascii
import io
import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from pansight.categories import Categories
from pansight.data.coco_masks import polygon_mask
from pansight.datatools.preparing.layers import Layer, is_picture_size, paint_layers
from pansight.datatools.preparing.lost_objects import NO_AREA, NO_PIXELS, Lost, Taken
from pansight.errors import CategoryError, DataError, InputError
from pansight.formats.coco_files import BROKEN_PICTURE, is_crowd_flag
from pansight.panoptic import PanopticMap

PathLike = str | os.PathLike[str]

VOID_LABELS = ("__ignore__", "_background_", "void", "ignore")
"""Labels whose shapes make pixels void; the first two are labelme's own."""

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".JPG", ".JPEG", ".PNG")

_NO_AREA_SHAPES = ("line", "linestrip", "point", "points")
"""Shapes that cover nothing: they are left out, and counted."""

_CORNERS = 256
"""Corners of the polygon that stands for a circle: right to a hundredth of a pixel for radius 100."""


class LabelmePolygons:
    """A folder of labelme files, folders below it included, as a source of panoptic truth; see `TruthSource`.

    Pictures have the ids 1, 2, 3 ... in the order of the files' names.
    """

    def __init__(self, folder: PathLike, categories: Categories, skip: Collection[Path] = ()) -> None:
        """Raises InputError when no JSON file lies there, other than those to `skip`."""
        self.folder = Path(folder)
        self.categories = categories
        self._files = find_files(folder, skip)
        pictures = _Pictures(self.folder)
        self.names = [pictures.name(file) for file in self._files]
        self.pictures_elsewhere = pictures.elsewhere
        self.image_ids: Sequence[int | str] = range(1, len(self._files) + 1)

    def __len__(self) -> int:
        return len(self._files)

    def truth(self, index: int) -> PanopticMap:
        """Paint the shapes of file `index`. Raises DataError, naming the file, when it is broken."""
        return self.take(index).truth

    def take(self, index: int) -> Taken:
        """Paint the shapes of file `index`, and say which cover nothing. Raises DataError as `truth`."""
        file = self._files[index]
        content = _read(file)
        height, width = _size(file, content)
        lost: list[Lost] = []
        layers = list(self._layers(file, content, height, width, lost))
        crowds = sum(layer.is_crowd for layer in layers)
        painted = paint_layers(layers, self.categories, height, width)
        return Taken(painted, len(content["shapes"]), crowds, tuple(lost))

    def _layers(
        self, file: Path, content: dict[str, Any], height: int, width: int, lost: list[Lost]
    ) -> Iterator[Layer]:
        for position, shape in enumerate(content["shapes"]):
            where = f"{file}: shape {position}"
            label = shape.get("label") if isinstance(shape, dict) else None
            if not isinstance(label, str):
                raise DataError(f"{where} has no label; correct it")
            called = f"{file.name}, shape {position} ({label})"
            if shape.get("shape_type") in _NO_AREA_SHAPES:
                lost.append(Lost(NO_AREA, called))
                continue
            mask = _shape_mask(shape, height, width, where)
            if not mask.any():
                lost.append(Lost(NO_PIXELS, called))
            if label in VOID_LABELS and label not in self.categories.names:
                yield Layer(mask, None, None)
                continue
            try:
                category = self.categories.index(label)
            except CategoryError as error:
                raise DataError(f"{where}: {error}") from error
            group = shape.get("group_id")
            key: object = label
            if self.categories[category].is_thing:
                key = (label, "shape", position) if group is None else (label, "group", str(group))
            yield Layer(mask, category, key, _is_crowd(shape) and self.categories[category].is_thing)


def find_files(folder: PathLike, skip: Collection[Path] = ()) -> list[Path]:
    """The JSON files in a folder and those below it, by name. Raises InputError when there are none."""
    skipped = {path.resolve() for path in skip}
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of the labelme files")
    files = sorted(path for path in Path(folder).rglob("*.json") if not path.name.startswith("."))
    files = [path for path in files if path.resolve() not in skipped]
    if not files:
        raise InputError(f"{folder}: no JSON files in it; give the folder of the labelme files")
    return files


def find_labels(folder: PathLike, skip: Collection[Path] = ()) -> list[str]:
    """All labels in the files of a folder, in the order of the alphabet; broken files say nothing."""
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
            if isinstance(shape, dict) and isinstance(shape.get("label"), str)
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
    """Where the pictures of labelme files lie: beside them, where they say, or elsewhere below the folder.

    `elsewhere`: the folder of those that lie outside of `folder`, when all do that do not lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._below: dict[str, list[Path]] | None = None
        self.elsewhere: Path | None = None

    def name(self, file: Path) -> str:
        """The picture of a file relative to the folder; if it lies outside, as if it lay beside the file."""
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
        """Every picture below the folder, by its name."""
        if self._below is None:
            self._below = {}
            for path in sorted(self._folder.rglob("*")):
                if path.suffix in _PICTURES:
                    self._below.setdefault(path.name, []).append(path)
        return self._below


def _size(file: Path, content: dict[str, Any]) -> tuple[int, int]:
    """Height and width: those that the file says, else those of its picture."""
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        if not is_picture_size(height, width):
            raise DataError(f"{file}: says that its picture is {width} x {height} pixels; correct it")
        return height, width
    named = content.get("imagePath")
    picture = file.parent / named.replace("\\", "/") if isinstance(named, str) else file.with_suffix(".jpg")
    try:
        with Image.open(picture) as opened:
            return opened.height, opened.width
    except BROKEN_PICTURE as error:
        raise DataError(
            f"{file}: says no imageHeight and imageWidth, and its picture {picture.name} cannot be read; "
            "put the picture there"
        ) from error


def _is_crowd(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and any(is_crowd_flag(flags.get(key)) for key in ("iscrowd", "crowd"))


def _shape_mask(shape: dict[str, Any], height: int, width: int, where: str) -> Bool[np.ndarray, "h w"]:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.asarray(shape.get("points"), dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1:] != (2,) or not np.isfinite(points).all():
        raise DataError(f"{where} ({kind}) has no list of points [x, y]; correct it")
    needed = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2, "rotation": 4, "oriented_rectangle": 4}
    if not isinstance(kind, str) or kind not in needed:
        raise DataError(
            f"{where} has the shape_type {kind!r}, which labelme does not have and tools mean in different "
            f"ways; known are {', '.join(needed)}; draw it as a polygon"
        )
    if len(points) < needed[kind]:
        raise DataError(f"{where} is a {kind} of {len(points)} points, {needed[kind]} are needed; correct it")
    if kind == "mask":
        return _pasted(shape, points, height, width, where)
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    elif kind == "circle":
        angles = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
        radius = np.hypot(*(points[1] - points[0]))
        points = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    try:
        return polygon_mask(points.ravel().tolist(), height, width)
    except DataError as error:
        raise DataError(f"{where} is a shape {error}; correct it") from error


def _pasted(
    shape: dict[str, Any], points: np.ndarray, height: int, width: int, where: str
) -> Bool[np.ndarray, "h w"]:
    """A mask that came from a model: a small PNG in base64, laid where the first of the two points is."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"], validate=True))) as opened:
            small = np.asarray(opened.convert("L")) > 0
    except (KeyError, TypeError, binascii.Error, *BROKEN_PICTURE) as error:
        raise DataError(f"{where} is a mask whose picture cannot be read; draw it again") from error
    left, top = (int(side) for side in np.floor(points.min(axis=0)))
    mask = np.zeros((height, width), dtype=np.bool_)
    rows = slice(max(top, 0), min(top + small.shape[0], height))
    columns = slice(max(left, 0), min(left + small.shape[1], width))
    if rows.start < rows.stop and columns.start < columns.stop:
        mask[rows, columns] = small[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return mask
