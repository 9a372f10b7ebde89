"""Cityscapes: `gtFine/SPLIT/CITY/*_gtFine_instanceIds.png` as published, and the official panoptic files.

In the images of instance ids, of 16 bits, a value below 1000 is a labelId: stuff, or a group of things that
nobody told apart, which is a crowd. Other values are labelId * 1000 + number, one object each. Only the 19
evaluated classes count; all else is void. The segments are those that the official converter writes, ids
included.

Source: https://github.com/mcordts/cityscapesScripts, helpers/labels.py and preparation/createPanopticImgs.py.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories, Category
from pansight.data.class_names import match_categories
from pansight.data.coco import CocoPanoptic
from pansight.data.folders import Folder, existing_folder, open_folder
from pansight.data.label_files import Entry, LabelFiles, Row, decode_gray
from pansight.errors import InputError

PathLike = str | os.PathLike[str]

_ENDING = "_instanceIds.png"
_OBJECTS = 1000
"""Values from here on are objects"""
_LABELS = 34
"""labelIds are 0..33"""


class Cityscapes(LabelFiles):
    """A split as published, from its instance ids. Image ids are like aachen_000000_000019."""

    def __init__(
        self,
        labels: PathLike,
        images: PathLike | None,
        split: str | None = None,
        categories: Categories | None = None,
    ) -> None:
        """Open `labels` (gtFine, gtCoarse, or a split of these) with `images` (leftImg8bit); both may be
        archives.

        `split`: take the files in this folder only. `categories`: the set to use, in which the 19
        classes are found by name. Raises DataError when there are no labels, or classes do not fit.
        """
        own = Categories.builtin("cityscapes")
        folder = open_folder(labels)
        files = [name for name in folder.listing(_ENDING) if split is None or split in Path(name).parts[:-1]]
        where = Path(labels)
        super().__init__(
            where if split is None else where / split,
            folder,
            open_folder(images) if images is not None else None,
            [_entry(name) for name in files],
            categories or own,
        )
        index = match_categories(own, self.categories, where)
        self._index = np.full(_LABELS, -1, np.int64)
        self._index[own.dataset_ids] = [index[position] for position in range(len(own))]

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        values = decode_gray(content)
        present = np.flatnonzero(np.bincount(values.ravel()))
        labels = np.where(present < _OBJECTS, present, present // _OBJECTS)
        if len(labels) and labels.max() >= _LABELS:
            wrong = int(present[labels >= _LABELS][0])
            raise InputError(
                f"value {wrong} is not an instance id of Cityscapes: labelIds are 0..{_LABELS - 1}; "
                "take the files *_instanceIds.png"
            )
        classes = self._index[labels]
        void = present[classes < 0]
        kept = present[classes >= 0]
        ids = np.zeros(int(present.max(initial=0)) + 1, np.int32)
        ids[kept] = kept
        table = [
            (id, category, None, id < _OBJECTS and bool(self.categories[category].is_thing))
            for id, category in zip(kept.tolist(), classes[classes >= 0].tolist(), strict=True)
        ]
        return ids[values] if len(void) else values, table


class CityscapesPanoptic(CocoPanoptic):
    """A split from the official panoptic files, with labelIds or trainIds."""

    def __init__(
        self,
        annotations: PathLike,
        images: PathLike | None,
        panoptic: PathLike | None = None,
        categories: Categories | None = None,
    ) -> None:
        """Open a JSON such as gtFine/cityscapes_panoptic_val.json, with `images` (leftImg8bit/val).

        A JSON without categories uses trainIds where its name ends in _trainId, else of labelIds. Raises
        what CocoPanoptic does.
        """
        own = Categories.builtin("cityscapes")
        if Path(annotations).stem.endswith("_trainId"):
            own = train_id_categories()
        super().__init__(annotations, images, panoptic, categories, own_categories=own)


def train_id_categories() -> Categories:
    """The 19 classes with their trainIds 0..18 as data-set ids."""
    rows = (
        Category(item.name, item.is_thing, index, item.color, item.supercategory)
        for index, item in enumerate(Categories.builtin("cityscapes"))
    )
    return Categories(rows, name="cityscapes")


def is_cityscapes(root: Path) -> bool:
    """Whether a folder looks like the root of Cityscapes."""
    return labels_folder(root) is not None


def labels_folder(root: Path) -> Path | None:
    """gtFine (else gtCoarse) in a root, or its archive as published; None when it is not there."""
    return existing_folder(root / "gtFine", root / "gtFine_trainvaltest", root / "gtCoarse")


def pictures_folder(root: Path, images: PathLike | None) -> Path | None:
    """The folder of the images: the one named, else leftImg8bit in the root or its archive, if any."""
    if images is not None:
        return Path(images)
    return existing_folder(root / "leftImg8bit", root / "leftImg8bit_trainvaltest")


def raw_splits(labels: Folder) -> list[str]:
    """The splits that have instance ids, `train` first."""
    found = {Path(name).parts[-3] for name in labels.listing(_ENDING) if len(Path(name).parts) >= 3}
    return sorted(found, key=lambda split: (split != "train", split != "val", split))


def panoptic_files(root: Path) -> dict[str, Path]:
    """The official panoptic JSON of each split in gtFine or in the root; of two, that with labelIds."""
    found: dict[str, Path] = {}
    for place in (root, root / "gtFine"):
        for path in sorted(place.glob("cityscapes_panoptic_*.json")):
            split = re.sub(r"_trainId$", "", path.stem.removeprefix("cityscapes_panoptic_"))
            if split not in found or not path.stem.endswith("_trainId"):
                found[split] = path
    return found


def open_official(
    path: Path, images: PathLike | None, panoptic: PathLike | None, categories: Categories | None
) -> CityscapesPanoptic:
    """An official panoptic JSON with its images, looked for in leftImg8bit next to it or above it."""
    split = re.sub(r"_trainId$", "", path.stem.removeprefix("cityscapes_panoptic_"))
    above = path.absolute().parents
    found = pictures_folder(path.parent, images) or pictures_folder(above[min(1, len(above) - 1)], images)
    if found is not None and (found / split).is_dir():
        found = found / split
    return CityscapesPanoptic(path, found, panoptic, categories)


def _entry(labels: str) -> Entry:
    *above, name = labels.split("/")
    stem = name.removesuffix(_ENDING)
    image_id = stem.rpartition("_gt")[0] or stem
    picture = f"{image_id}_leftImg8bit.png"
    # SPLIT/CITY/picture; without these where the folder of a split, or of a city, is named.
    near = above[-2:]
    paths = ["/".join([*near[start:], picture]) for start in range(len(near) + 1)]
    return Entry(image_id, tuple(paths), labels)
