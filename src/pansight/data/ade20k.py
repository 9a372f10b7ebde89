"""ADE20K: the scene parsing challenge of 2016, and the full release of 2016 and 2021.

Challenge (ADEChallengeData2016): `images/SPLIT/NAME.jpg`, `annotations/SPLIT/NAME.png`, 8 bits, 0 for void,
else the class 1..150. 100 of the 150 classes are things, and these maps do not tell two chairs that touch
apart: objects are in `annotations_instance/SPLIT/NAME.png`, where red is the number of the thing's class,
1..100, and green that of the object.

Full release: `NAME_seg.png` next to NAME.jpg, where red // 10 * 256 + green is one of more than 3000 classes
and blue the object; classes that are none of the 150 are void here.

Source: https://github.com/CSAILVision/sceneparsing, https://github.com/CSAILVision/placeschallenge
(instances), https://github.com/CSAILVision/ADE20K.
"""

import json
import os
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, Integer

from pansight.categories import Categories
from pansight.data.class_names import match_categories
from pansight.data.folders import open_folder
from pansight.data.label_files import Entry, LabelFiles, Row, decode_colors, decode_gray
from pansight.data.pictures import read_file
from pansight.errors import DataError, InputError

PathLike = str | os.PathLike[str]

_CLASSES = 150


class AdeChallenge(LabelFiles):
    """A split of the challenge. Segments of stuff have the id 1..150 of their class, things 151 and on."""

    def __init__(
        self,
        labels: PathLike,
        images: PathLike | None,
        instances: PathLike | None = None,
        categories: Categories | None = None,
        *,
        blobs: bool = False,
    ) -> None:
        """Open the maps in `labels` with the images in `images`; archives will do.

        `instances`: the folder of the objects. Thing pixels that belong to no object are void. `blobs`: for
        data without it; every connected region of a thing class counts as one object, those that touch at a
        corner too. `categories`: the set to use, in which the 150 classes are found by name. Raises
        DataError when there are no labels, neither `instances` nor `blobs` is given, or classes do not fit.
        """
        where = Path(labels)
        if instances is None and not blobs:
            raise DataError(
                f"{where}: these maps do not separate objects of a class; add annotations_instance, or the "
                "panoptic files, or count each connected region of a thing as an object (--kind ade20k-blobs)"
            )
        own = Categories.builtin("ade20k")
        folder = open_folder(labels)
        entries = [
            Entry(Path(name).stem, (f"{name.removesuffix('.png')}.jpg", f"{Path(name).stem}.jpg"), name)
            for name in folder.listing(".png")
        ]
        pictures = open_folder(images) if images is not None else None
        super().__init__(where, folder, pictures, entries, categories or own)
        self._instances = open_folder(instances) if instances is not None and not blobs else None
        self._own = own
        self._index = match_categories(own, self.categories, where)

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        classes = decode_gray(content)
        if classes.size and classes.max() > _CLASSES:
            raise InputError(
                f"value {classes.max()} is not a class of the challenge: they are 1..{_CLASSES}, 0 is void"
            )
        is_thing = np.concatenate(([False], self._own.is_thing))
        things = is_thing[classes]
        if self._instances is None:
            objects, object_classes = _blobs(classes, things)
        else:
            objects, object_classes = self._objects(classes.shape, entry)
        # Object k has the id 150 + k; where there is none, stuff has the number of its class.
        ids = np.where(objects > 0, objects + _CLASSES, np.where(things, 0, classes)).astype(np.int32)
        table: list[Row] = [
            (1 + place, self._index[place], None, False) for place in self._own.stuff_indices.tolist()
        ]
        for number, place in enumerate(object_classes.tolist(), start=_CLASSES + 1):
            table.append((number, self._index[place], None, False))
        return ids, table

    def _objects(
        self, shape: tuple[int, ...], entry: Entry
    ) -> tuple[Int32[np.ndarray, "h w"], Int64[np.ndarray, "n"]]:
        """The object 1..n of each pixel, 0 for none, and the contiguous class of each object."""
        assert self._instances is not None
        path = f"{self._instances}/{entry.labels}"
        source = self._instances.find(entry.labels)
        if source is None:
            raise DataError(f"{path}: no such file; check the folder of the objects")
        try:
            codes = decode_colors(read_file(source, "objects")).astype(np.int32)
        except InputError as error:
            raise DataError(f"{path}: {error}") from error
        if codes.shape[:2] != shape:
            raise DataError(
                f"{path}: {codes.shape[1]} x {codes.shape[0]} pixels, the map of classes "
                f"{shape[1]} x {shape[0]}; take the files of one release"
            )
        red, green = codes[..., 0], codes[..., 1]
        things = self._own.thing_indices
        if red.size and red.max() > len(things):
            raise DataError(
                f"{path}: red {red.max()} is not a class of things: they are 1..{len(things)}, 0 is none"
            )
        keys = np.where((red > 0) & (green > 0), red * 256 + green, 0)
        present, objects = _numbered(keys)
        return objects, things[present // 256 - 1]


class AdeFull(LabelFiles):
    """A split of the full release, 2016 or 2021, in the 150 classes of the challenge. Ids are 1..n."""

    def __init__(
        self,
        root: PathLike,
        split: str | None = None,
        categories: Categories | None = None,
    ) -> None:
        """Open all NAME_seg.png below `root`, a folder or archive; with `split`, those below a folder so
        called.

        `categories`: the set to use, in which the 150 classes are found by name. Raises DataError when
        there are no labels, or classes do not fit.
        """
        own = Categories.builtin("ade20k")
        folder = open_folder(root)
        where = Path(root)
        entries = [
            Entry(Path(name).name.removesuffix("_seg.png"), (f"{name.removesuffix('_seg.png')}.jpg",), name)
            for name in folder.listing("_seg.png")
            if split is None or split in Path(name).parts
        ]
        super().__init__(
            where if split is None else where / split, folder, folder, entries, categories or own
        )
        self._own = own
        self._index = match_categories(own, self.categories, where)

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        codes = decode_colors(content).astype(np.int32)
        classes = _challenge_class()[codes[..., 0] // 10 * 256 + codes[..., 1]]
        is_thing = np.concatenate((self._own.is_thing, [False]))
        # One segment for all stuff of a class, one for each object of a thing; -1 is the last element.
        keys = np.where(classes < 0, 0, 1 + classes * 256 + np.where(is_thing[classes], codes[..., 2], 0))
        present, ids = _numbered(keys)
        places = ((present - 1) // 256).tolist()
        return ids, [
            (number, self._index[place], None, False) for number, place in enumerate(places, start=1)
        ]


@cache
def _challenge_class() -> Int32[np.ndarray, "codes"]:
    """The contiguous class of the challenge by the number in the full release, -1 where there is none."""
    text = (
        resources.files("pansight").joinpath("assets", "ade20k_full_classes.json").read_text(encoding="utf-8")
    )
    classes = np.full(26 * 256, -1, np.int32)
    for place, numbers in enumerate(json.loads(text)):
        classes[numbers] = place
    return classes


def _numbered(
    keys: Integer[np.ndarray, "h w"],
) -> tuple[Int64[np.ndarray, "n"], Int32[np.ndarray, "h w"]]:
    """The n keys above 0 that occur, ascending, and at each pixel the place 1..n of its key, 0 for key 0."""
    counts = np.bincount(keys.ravel(), minlength=1)
    present = np.flatnonzero(counts[1:]) + 1
    places = np.zeros(len(counts), np.int32)
    places[present] = np.arange(1, len(present) + 1)
    return present, places[keys]


def _blobs(
    classes: Integer[np.ndarray, "h w"], things: np.ndarray
) -> tuple[Int32[np.ndarray, "h w"], Int64[np.ndarray, "n"]]:
    """Connected regions of one class where `things`: that of each pixel, 1..n, and their classes from 0."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    height, width = classes.shape
    pixels = np.arange(height * width).reshape(height, width)
    pairs = []
    for one, other in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        joined = things[one] & (classes[one] == classes[other])
        pairs.append((pixels[one][joined], pixels[other][joined]))
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    graph = coo_matrix((np.ones(len(first), np.bool_), (first, second)), shape=(pixels.size, pixels.size))
    _, regions = connected_components(graph, directed=False)
    _, objects = _numbered(np.where(things, regions.reshape(height, width) + 1, 0))
    count = int(objects.max(initial=0))
    found = np.zeros(count + 1, np.int64)
    found[objects.ravel()] = classes.ravel() - 1
    return objects, found[1:]
