"""BDD100K's bit masks: RGBA PNGs, R the category, G the attributes, B and A the object.

Source: https://doc.bdd100k.com/format.html and bdd100k 1.0.1. G is truncated << 3 | occluded << 2 |
crowd << 1 | ignore; the object is B << 8 | A. Alpha is data: a resave by an image editor destroys ids.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Pictures,
    Written,
    read_image,
    write_image,
)
from pansight.formats.annotation.id_maps import numbered_pairs, objects_in
from pansight.formats.annotation.losses import NOT_HELD, Lost
from pansight.formats.annotation.objects import AnnotatedImage
from pansight.panoptic import PanopticMap

_NAMES = (
    "dynamic", "ego vehicle", "ground", "static", "parking", "rail track", "road", "sidewalk", "bridge",
    "building", "fence", "garage", "guard rail", "tunnel", "wall", "banner", "billboard", "lane divider",
    "parking sign", "pole", "polegroup", "street light", "traffic cone", "traffic device", "traffic light",
    "traffic sign", "traffic sign frame", "terrain", "vegetation", "sky",
    "person", "rider", "bicycle", "bus", "car", "caravan", "motorcycle", "trailer", "train", "truck",
)  # fmt: skip
"""The panoptic classes by number from 1; things from 31."""

_FIRST_THING = 31
_CROWD, _IGNORE = 2, 1
_MOST_IDS = 1 << 16


def bdd100k_categories() -> list[ClassRow]:
    """The 40 classes of the panoptic task."""
    return [ClassRow(name, id >= _FIRST_THING, id) for id, name in enumerate(_NAMES, start=1)]


def _bitmasks(path: Path) -> Path | None:
    """The folder of bit masks at or below a place."""
    if not path.is_dir():
        return None
    places = (
        path,
        path / "bitmasks",
        path / "pan_seg" / "bitmasks",
        path / "labels" / "pan_seg" / "bitmasks",
    )
    return next((place for place in places if place.name == "bitmasks" and place.is_dir()), None)


def is_bdd100k(path: Path) -> bool:
    """Whether the location has a folder `bitmasks` with RGBA images."""
    folder = _bitmasks(path)
    first = next(iter(sorted(folder.rglob("*.png"))), None) if folder else None
    try:
        return first is not None and read_image(first).mode == "RGBA"
    except DataError:
        return False


class Bdd100kReader(AnnotationReader):
    """The PNGs in bitmasks/, splits included. Classes are the 40 of the panoptic task, or classes.json's."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when there is no folder of bit masks with PNGs in it."""
        folder = _bitmasks(path) or path
        self.where = path
        self._folder = folder
        self._files = sorted(folder.rglob("*.png"))
        if not self._files:
            raise DataError(f"{path}: no bit masks (bitmasks/*.png) in it; check the folder")
        own = next(
            (place / "classes.json" for place in (path, folder) if (place / "classes.json").is_file()), None
        )
        if own is None:
            self.classes = bdd100k_categories()
        else:
            self.classes = [
                ClassRow(c.name, c.is_thing, c.dataset_id, c.color) for c in Categories.from_file(own)
            ]
        self._labels = {row.id: row.name for row in self.classes}
        pictures = Pictures(*([images] if images else []), path / "images")
        self.names = []
        for file in self._files:
            stem = file.relative_to(folder).with_suffix("").as_posix()
            found = pictures.find(stem)
            self.names.append(f"{stem}{found.suffix if found else '.jpg'}")
        self.image_ids = list(range(1, len(self._files) + 1))

    def read(self, index: int) -> AnnotatedImage:
        file = self._files[index]
        image = read_image(file)
        if image.mode != "RGBA":
            raise DataError(f"{file}: is {image.mode}, bit masks are RGBA; take the file as it was published")
        pixels = np.asarray(image).astype(np.int32)
        kinds = pixels[..., 0] << 8 | pixels[..., 1]
        ids, pairs = numbered_pairs(kinds, pixels[..., 2] << 8 | pixels[..., 3])
        rows = []
        for id, (kind, number) in enumerate(pairs, start=1):
            category, attributes = kind >> 8, kind & 255
            if category == 0 or attributes & _IGNORE:
                continue
            label = self._labels.get(category)
            if label is None:
                raise DataError(
                    f"{file}: has category {category}, which is none of {len(self._labels)}; add classes.json"
                )
            rows.append((id, label, bool(attributes & _CROWD), None, number))
        # One object with two sets of attributes is still one.
        first: dict[tuple[str, int], int] = {}
        table = np.arange(len(pairs) + 1, dtype=np.int32)
        kept = []
        for row in rows:
            same = first.setdefault((row[1], row[4]), row[0])
            table[row[0]] = same
            if same == row[0]:
                kept.append(row)
        return objects_in(table[ids], kept, self.names[index])


class Bdd100kWriter(AnnotationWriter):
    """bitmasks/NAME.png. Category numbers are the data set's where they are 1..255, else counted from 1.

    Objects have the segments' ids, where all of an image fit into 16 bits; else stuff has its category's
    number, and things are counted on from 31, or from the largest number of stuff.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        """Raises CategoryError when there are more than 255 classes."""
        if len(categories) > 255:
            raise CategoryError(f"{categories.name} has {len(categories)} classes, a bit mask holds 255")
        if not all(0 < id < 256 for id in categories.dataset_ids.tolist()):
            rows = [{**row, "id": number} for number, row in enumerate(categories.to_json(), start=1)]
            categories = Categories.from_json(rows, name=categories.name)
        super().__init__(folder, categories)
        stuff = [item.dataset_id for item in categories if not item.is_thing]
        self._first = max(_FIRST_THING, *(id + 1 for id in stuff)) if stuff else _FIRST_THING

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        categories, attributes, ids, lost = [], [], [], []
        following = self._first
        own = all(segment.id < _MOST_IDS for segment in panoptic.segments)
        for segment in panoptic.segments:
            item = panoptic.categories[segment.category]
            fits = own or following < _MOST_IDS or not item.is_thing
            if not fits:
                lost.append(Lost(NOT_HELD, f"segment {segment.id} ({item.name})"))
            categories.append(item.dataset_id if fits else 0)
            attributes.append(_CROWD if segment.is_crowd else 0)
            number = segment.id if own else following if item.is_thing else item.dataset_id
            ids.append(number if fits else 0)
            following += item.is_thing
        numbers = panoptic.paint(ids)
        planes = [panoptic.paint(categories), panoptic.paint(attributes), numbers >> 8, numbers & 255]
        path = Path(f"{self.folder / 'bitmasks' / picture.stem}.png")
        write_image(path, np.stack(planes, axis=-1).astype(np.uint8))
        return Written(None, tuple(lost), (path,))

    def _save(self, rows: Sequence[Any]) -> Path:
        return self.folder
