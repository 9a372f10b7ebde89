"""YOLO's text polygons: one object per line, one ring per object, no stuff and no crowds.

A line is `class x1 y1 x2 y2 ...`, fractions of width and height, class from 0; names are in data.yaml. Tools
draw them by OpenCV's fillPoly on whole pixels, outlines included, a smaller object over a larger. Source:
https://docs.ultralytics.com/datasets/segment/. What is written here lies a quarter of a pixel behind each
pixel's index, so that cutting and rounding give the same pixel.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Pictures,
    Written,
    write_text,
)
from pansight.formats.annotation.losses import JOINED_PARTS, LEFT_CROWD, NO_STUFF, Lost
from pansight.formats.annotation.objects import AnnotatedImage, AnnotatedObject, objects_of
from pansight.formats.annotation.outlines import one_polygon
from pansight.formats.annotation.runs import drawn_polygon
from pansight.panoptic import PanopticMap

_CONFIGS = ("data.yaml", "dataset.yaml", "data.yml")
_INSET = 0.25


def is_yolo(path: Path) -> bool:
    """Whether this is a data.yaml with names, or a folder with one and labels/."""
    file = _config(path)
    return file is not None and (file.parent / "labels").is_dir()


def _config(path: Path) -> Path | None:
    if path.is_dir():
        return next((path / name for name in _CONFIGS if (path / name).is_file()), None)
    return path if path.suffix in (".yaml", ".yml") and path.is_file() else None


class YoloReader(AnnotationReader):
    """All files in labels/ next to data.yaml; the images are needed, since nothing else gives their sizes."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when there is no data.yaml with names, or no label file."""
        config = _config(path)
        if config is None:
            raise DataError(f"{path}: no data.yaml in it, which names the classes; put it there")
        try:
            content = yaml.safe_load(config.read_text(encoding="utf-8-sig"))
            names = content["names"]
            rows = names if isinstance(names, dict) else dict(enumerate(names))
            self._labels = {int(number): str(name) for number, name in rows.items()}
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{config}: no list of names in it ({error}); correct it") from error
        root = config.parent
        self.where = root
        self._files = sorted((root / "labels").rglob("*.txt"))
        if not self._files:
            raise DataError(f"{root}: no label files in labels/; check the folder")
        pictures = Pictures(*([images] if images else []), root / "images", root)
        self._pictures = pictures
        self.names = []
        for file in self._files:
            stem = file.relative_to(root / "labels").with_suffix("").as_posix()
            found = _image(pictures, stem)
            self.names.append(f"{stem}{found.suffix if found else '.jpg'}")
        self.image_ids = list(range(1, len(self._files) + 1))
        self.classes = [ClassRow(name, True) for name in self._labels.values()]

    def read(self, index: int) -> AnnotatedImage:
        file, name = self._files[index], self.names[index]
        height, width = self._pictures.size(name, "YOLO files say no sizes")
        objects = []
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        for number, line in enumerate(dict.fromkeys(lines), start=1):
            where = f"{file}: line {number}"
            try:
                values = [float(part) for part in line.split()]
            except ValueError as error:
                raise DataError(f"{where} has something else than numbers; correct it") from error
            if not values:
                continue
            label = self._labels.get(int(values[0]))
            if label is None:
                raise DataError(f"{where} has class {values[0]:g}, which data.yaml does not name; add it")
            corners = values[1:]
            if len(corners) == 4:
                x, y, wide, high = corners
                left, top, right, bottom = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
                ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
                ring = ring * (width, height) - [[0, 0], [1, 0], [1, 1], [0, 1]]  # edges to indices
            elif len(corners) >= 6 and len(corners) % 2 == 0:
                ring = np.array(corners).reshape(-1, 2) * (width, height)
            else:
                raise DataError(
                    f"{where} has {len(corners)} numbers, where a polygon has x y three times or more"
                )
            try:
                crop = drawn_polygon([np.round(ring)], height, width)
            except DataError as error:
                raise DataError(f"{where} {error}; correct it") from error
            area = int(np.count_nonzero(crop.mask))
            objects.append(
                AnnotatedObject(label, *crop, order=float(-area), name=f"{name}, line {number} ({label})")
            )
        return AnnotatedImage(name, height, width, tuple(objects))


def _image(pictures: Pictures, stem: str) -> Path | None:
    for ending in (".jpg", ".png", ".jpeg", ".bmp", ".webp", ".tif"):
        found = next(
            (f / f"{stem}{ending}" for f in pictures.folders if (f / f"{stem}{ending}").is_file()), None
        )
        if found:
            return found
    return pictures.find(Path(stem).name)


class YoloWriter(AnnotationWriter):
    """labels/NAME.txt and data.yaml; the images belong in images/.

    Only things, and no crowds. Holes stay, since the outline goes along the object to each and back; the
    parts of an object are joined by lines.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        super().__init__(folder, categories)
        self._number = {name: n for n, name in enumerate(c.name for c in categories if c.is_thing)}

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "data.yaml")

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        lines, lost = [], []
        scale = (panoptic.width, panoptic.height)
        for one in objects_of(panoptic):
            called = f"{one.name} ({one.label})"
            if one.label not in self._number:
                lost.append(Lost(NO_STUFF, called))
                continue
            if one.is_crowd:
                lost.append(Lost(LEFT_CROWD, called))
                continue
            polygon = one_polygon(one.mask)
            if polygon.parts > 1:
                lost.append(Lost(JOINED_PARTS, called))
            corners = (np.array(polygon.corners) + np.array([one.left, one.top]) + _INSET) / scale
            lines.append(
                " ".join([str(self._number[one.label]), *(f"{side:.9f}" for side in corners.ravel())])
            )
        path = Path(f"{self.folder / 'labels' / picture.stem}.txt")
        write_text(path, "".join(f"{line}\n" for line in lines))
        return Written(None, tuple(lost), (path,))

    def _save(self, rows: Sequence[Any]) -> Path:
        content = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(self._number))}
        write_text(self.folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        return self.folder
