"""Data sets as published: images, and next to each a label image that a rule decodes."""

import io
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from pansight.categories import Categories
from pansight.data.folders import DiskFolder, Folder, Source
from pansight.data.pictures import read_file, read_picture, reason_of
from pansight.data.sample import Sample
from pansight.errors import CategoryError, DataError, InputError
from pansight.formats.coco_files import BROKEN_PICTURE
from pansight.panoptic import PanopticMap

_PICTURE_ENDINGS = (".jpg", ".png", ".jpeg", ".webp", ".JPG", ".JPEG", ".PNG")

Row = tuple[int, int, None, bool]
"""Segment id, contiguous category, no score, crowd."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample: its id, the paths where its image may lie (the first is its name), its file of labels."""

    image_id: str
    pictures: tuple[str, ...]
    labels: str


class LabelFiles(ABC):
    """Images with files of labels as a lazy sequence, in the order of the files' names.

    Labels are read when a sample is asked for. Images may be missing as long as only `truth` is.
    """

    def __init__(
        self,
        where: Path,
        labels: Folder,
        images: Folder | None,
        entries: Sequence[Entry],
        categories: Categories,
    ) -> None:
        """`where`: the data set's folder, for messages. Raises DataError when there are no entries."""
        if not entries:
            raise DataError(f"{where}: no labels in {labels}; check that the data set was unpacked there")
        self.where = where
        self.labels = labels
        self.images = images
        self._entries = tuple(entries)
        self._names = tuple(entry.pictures[0] for entry in entries)
        self._image_ids = tuple(entry.image_id for entry in entries)
        self._categories = categories

    @abstractmethod
    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        """Segment ids, 0 for void, and the table of segments of a file; rows without pixels are allowed."""

    @property
    def categories(self) -> Categories:
        """What the samples tell apart."""
        return self._categories

    @property
    def names(self) -> tuple[str, ...]:
        """The file of each image, relative to the folder of images."""
        return self._names

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The data set's own name of each image."""
        return self._image_ids

    @property
    def reads(self) -> tuple[Path, ...]:
        """The folders on disk that samples are read from: nothing may be written there."""
        return tuple(one.path for one in (self.labels, self.images) if isinstance(one, DiskFolder))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Decode sample `index`. Raises DataError, naming the file, when it is broken or missing."""
        entry = self._entries[self._position(index)]
        source = self._picture(entry)
        panoptic = self.truth(index)
        image = read_picture(source, panoptic.height, panoptic.width)
        return Sample(image, panoptic, entry.image_id, entry.pictures[0])

    def truth(self, index: SupportsIndex) -> PanopticMap:
        """The panoptic map of sample `index` alone, its image left closed. Raises DataError when broken."""
        entry = self._entries[self._position(index)]
        path = f"{self.labels}/{entry.labels}"
        source = self.labels.find(entry.labels)
        if source is None:
            raise DataError(f"{path}: no such file; check the folder of the labels")
        try:
            ids, table = self.decode(read_file(source, "labels"), entry)
            return PanopticMap.from_table(ids, table, self._categories)
        except (InputError, CategoryError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.where)!r}: {len(self)} images, {self._categories!r})"

    def _position(self, index: SupportsIndex) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)} in {self.where}")
        return position % len(self)

    def _picture(self, entry: Entry) -> Source:
        if self.images is None:
            raise DataError(
                f"{entry.pictures[0]}: {self.where} has no images next to its labels; name their folder "
                "(--images)"
            )
        for name in entry.pictures:
            stem = name.rpartition(".")[0]
            for path in (name, *(stem + ending for ending in _PICTURE_ENDINGS)):
                source = self.images.find(path)
                if source is not None:
                    return source
        raise DataError(f"{self.images}/{entry.pictures[0]}: no such file; check the folder of the images")


def decode_gray(content: bytes) -> Int32[np.ndarray, "h w"]:
    """The values of a gray image of 8 or 16 bits, or the indices of a palette.

    Raises InputError when it is damaged or has colours.
    """
    labels = _decoded(content)
    if labels.ndim != 2:
        raise InputError(
            "an image with colours, where labels of 8 or 16 bits belong; check the folder of labels"
        )
    return labels.astype(np.int32)


def decode_colors(content: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Red, green and blue of an image whose colours are codes.

    Raises InputError when it is anything else.
    """
    codes = _decoded(content)
    if codes.ndim != 3 or codes.shape[2] < 3 or codes.dtype != np.uint8:
        raise InputError(
            "a gray image, where labels in red, green and blue belong; check the folder of labels"
        )
    return np.ascontiguousarray(codes[..., :3])


def _decoded(content: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.array(picture)
    except BROKEN_PICTURE as error:
        raise InputError(f"cannot be read ({reason_of(error)}); replace the file") from error
