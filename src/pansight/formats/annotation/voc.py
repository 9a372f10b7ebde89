"""PASCAL VOC's segmentation and CVAT's Segmentation mask 1.1: an image of classes and one of objects.

VOC: palette PNGs; 0 background, 255 ignored. CVAT: RGB PNGs, the class by its colour in
labelmap.txt, object k by colour k of VOC's palette, stuff an object like any other. Sources:
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, CVAT's documentation of the format. An object is a pair of
class and object number.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

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
    write_text,
)
from pansight.formats.annotation.id_maps import numbered_pairs, objects_in
from pansight.formats.annotation.losses import JOINED_CROWD, NO_CROWD, NOT_HELD, Lost
from pansight.formats.annotation.objects import VOID_LABELS, AnnotatedImage
from pansight.panoptic import PanopticMap

_BORDER = 255
_MOST = 254
"""Numbers left for objects and classes besides 0 and 255."""
_LISTS = ("labelmap.txt", "class_names.txt", "labels.txt")
_VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of VOC 2012 by index from 1, all things."""


def voc_palette() -> UInt8[np.ndarray, "256 3"]:
    """The colour of each index: bit j of r, g, b is bit 3j, 3j+1, 3j+2 of it, the highest first."""
    index = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def is_voc(path: Path) -> bool:
    """Whether SegmentationClass and SegmentationObject are there with palette images."""
    return _mode(path) == "P"


def is_cvat_mask(path: Path) -> bool:
    """Whether they are there with RGB images."""
    return _mode(path) in ("RGB", "RGBA")


def _mode(path: Path) -> str:
    if not (path / "SegmentationClass").is_dir() or not (path / "SegmentationObject").is_dir():
        return ""
    first = next(iter(sorted((path / "SegmentationObject").rglob("*.png"))), None)
    if first is None:
        return ""
    try:
        return read_image(first).mode
    except DataError:
        return ""


class VocReader(AnnotationReader):
    """SegmentationClass and SegmentationObject, in palette or RGB; see the module.

    A thing class without an object number is a crowd. Pixels of classes that are not listed are an error.
    """

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when there are no label images, or the list of classes cannot be read."""
        self.where = path
        self._files = sorted((path / "SegmentationObject").rglob("*.png"))
        if not self._files:
            raise DataError(f"{path}: no PNG in SegmentationObject; check that it was unpacked there")
        self._palette = voc_palette()
        self._listed, self._colors = _class_list(path)
        pictures = Pictures(*([images] if images else []), path / "JPEGImages", path / "images")
        self.names = []
        for file in self._files:
            stem = file.relative_to(path / "SegmentationObject").with_suffix("").as_posix()
            found = pictures.find(stem)
            self.names.append(f"{stem}{found.suffix if found else '.jpg'}")
        self.image_ids = list(range(1, len(self._files) + 1))
        self.classes = [
            ClassRow(
                name,
                True if self._listed == dict(enumerate(_VOC, 1)) else None,
                index,
                self._colors.get(index),
            )
            for index, name in self._listed.items()
            if index and name not in VOID_LABELS
        ]

    def read(self, index: int) -> AnnotatedImage:
        file = self._files[index]
        classes_file = self.where / "SegmentationClass" / file.relative_to(self.where / "SegmentationObject")
        numbers = self._values(file, {n: tuple(color) for n, color in enumerate(self._palette.tolist())})
        classes = self._values(classes_file, self._colors)
        if numbers.shape != classes.shape:
            raise DataError(f"{file}: is of another size than {classes_file}; export both again")
        ids, pairs = numbered_pairs(classes, numbers)
        rows = []
        for id, (category, number) in enumerate(pairs, start=1):
            label = self._listed.get(category, "background" if category in (0, _BORDER) else None)
            if label is None:
                raise DataError(
                    f"{classes_file}: has class {category}, which is not listed; add it to labelmap.txt"
                )
            if category not in (0, _BORDER) and number != _BORDER and label not in VOID_LABELS:
                rows.append((id, label, number == 0, None, number))
        return objects_in(ids, rows, self.names[index])

    def _values(self, path: Path, colors: Mapping[int, tuple[int, ...]]) -> Int32[np.ndarray, "h w"]:
        image = read_image(path)
        if image.mode in ("P", "L"):
            return np.asarray(image).astype(np.int32)
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        codes = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
        table = {(red << 16) | (green << 8) | blue: n for n, (red, green, blue) in colors.items()}
        found, inverse = np.unique(codes, return_inverse=True)
        strange = [code for code in found.tolist() if code not in table]
        if strange:
            shown = ", ".join(f"{code >> 16},{code >> 8 & 255},{code & 255}" for code in strange[:3])
            raise DataError(f"{path}: has the colour {shown}, which is not listed; add it to labelmap.txt")
        values = np.array([table[code] for code in found.tolist()], np.int32)
        return values[inverse].reshape(codes.shape)


def _class_list(path: Path) -> tuple[dict[int, str], dict[int, tuple[int, int, int]]]:
    """Names and colours by class number: labelmap.txt (name:r,g,b:parts:actions), a list, or VOC's."""
    palette = [(red, green, blue) for red, green, blue in voc_palette().tolist()]
    file = next((path / name for name in _LISTS if (path / name).is_file()), None)
    if file is None:
        return dict(enumerate(_VOC, 1)), dict(enumerate(palette))
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#") and line != "__ignore__"]
    names, colors = {}, {_BORDER: palette[_BORDER]}
    for number, line in enumerate(lines):
        name, _, rest = line.partition(":")
        names[number] = name
        color = rest.partition(":")[0]
        try:
            red, green, blue = map(int, color.split(",")) if color else palette[number]
        except (ValueError, IndexError) as error:
            raise DataError(f"{file}: line {line!r} has no colour r,g,b; correct it") from error
        colors[number] = (red, green, blue)
    return names, colors


class _MaskWriter(AnnotationWriter):
    """What both have in common: numbers for classes and objects, and the lists that go with them.

    The number of an object is its segment's id, where all of an image are at most 254; else they are counted.
    """

    stuff_counts: bool

    def __init__(self, folder: Path, categories: Categories) -> None:
        """Raises CategoryError when there are more than 254 classes."""
        if len(categories) > _MOST:
            raise CategoryError(f"{categories.name} has {len(categories)} classes, this format holds {_MOST}")
        super().__init__(folder, categories)

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "labelmap.txt")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / "JPEGImages" / picture.name

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        numbers, lost = [], []
        taken, crowds = 0, set()
        own = all(segment.id <= _MOST for segment in panoptic.segments)
        for segment in panoptic.segments:
            item = panoptic.categories[segment.category]
            called = f"segment {segment.id} ({item.name})"
            counted = (item.is_thing and not segment.is_crowd) or self.stuff_counts
            if segment.is_crowd and not self.stuff_counts:
                if segment.category in crowds:
                    lost.append(Lost(JOINED_CROWD, called))
                crowds.add(segment.category)
            elif segment.is_crowd:
                lost.append(Lost(NO_CROWD, called))
            if counted and taken == _MOST:
                lost.append(Lost(NOT_HELD, called))
                numbers.append(-1)
                continue
            taken += counted
            numbers.append((segment.id if own else taken) if counted else 0)
        held = [number >= 0 for number in numbers]
        objects = panoptic.paint([max(number, 0) for number in numbers], 0).astype(np.uint8)
        values = [
            segment.category + 1 if ok else 0 for segment, ok in zip(panoptic.segments, held, strict=True)
        ]
        classes = panoptic.paint(values, 0).astype(np.uint8)
        files = (
            write_image(
                self._path("SegmentationClass", picture), self._picture(classes, self._class_colors())
            ),
            write_image(self._path("SegmentationObject", picture), self._picture(objects, voc_palette())),
        )
        return Written(picture.stem, tuple(lost), files)

    def _path(self, folder: str, picture: Picture) -> Path:
        return Path(f"{self.folder / folder / picture.stem}.png")

    def _save(self, rows: Sequence[Any]) -> Path:
        colors = self._class_colors().tolist()
        names = ["background", *self.categories.names]
        lines = [f"{name}:{','.join(map(str, colors[n]))}::" for n, name in enumerate(names)]
        write_text(
            self.folder / "labelmap.txt", "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"
        )
        listed = self.folder / "ImageSets" / "Segmentation" / "default.txt"
        write_text(listed, "".join(f"{stem}\n" for stem in rows))
        return self.folder

    def _class_colors(self) -> UInt8[np.ndarray, "256 3"]:
        return voc_palette()

    def _picture(self, values: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "256 3"]) -> Image.Image:
        raise NotImplementedError


class VocWriter(_MaskWriter):
    """Palette PNGs, labelmap.txt and ImageSets/Segmentation/default.txt; the images belong in JPEGImages/.

    Stuff has no object number. A crowd has none either, and so the crowds of a class are one.
    """

    stuff_counts = False

    def _picture(self, values: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "256 3"]) -> Image.Image:
        image = Image.fromarray(values, mode="P")
        image.putpalette(colors.tobytes())
        return image


class CvatMaskWriter(_MaskWriter):
    """Segmentation mask 1.1: RGB PNGs; every segment is an object, at most 254 per image; no crowds.

    In CVAT switch off "convert masks to polygons" when it is uploaded, or holes are lost.
    """

    stuff_counts = True

    def _class_colors(self) -> UInt8[np.ndarray, "256 3"]:
        """The classes' own colours, where they are all different and not black."""
        colors = voc_palette()
        own = {tuple(row) for row in self.categories.colors.tolist()}
        if len(own) == len(self.categories) and (0, 0, 0) not in own:
            colors[1 : len(self.categories) + 1] = self.categories.colors
        return colors

    def _picture(self, values: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "256 3"]) -> Image.Image:
        return Image.fromarray(colors[values])
