"""What will be written for each image of a data set, and how it will be called."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from pansight.categories import Categories
from pansight.data.cityscapes import train_id_categories
from pansight.errors import CategoryError, DataError
from pansight.panoptic import PanopticMap

_NO_NAME = re.compile(r"[:\0\ud800-\udc7f\udd00-\udfff]")
"""What no file's name may hold, somewhere; half characters from JSON among it."""


@runtime_checkable
class TruthSource(Protocol):
    """What can be prepared: any data set, or anything else that knows a panoptic map by number.

    `names`: the image file of each sample; `image_ids`: its id, unique. Must be picklable.
    """

    @property
    def categories(self) -> Categories: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def image_ids(self) -> Sequence[int | str]: ...
    def __len__(self) -> int: ...
    def truth(self, index: int, /) -> PanopticMap: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample in the files to be written: its id, its image, and its panoptic PNG."""

    image_id: int | str
    image: str
    panoptic: str


@dataclass(frozen=True)
class Plan:
    """The files to be written: FOLDER/NAME.json and, in FOLDER/NAME/, the `panoptic` of every entry.

    `categories`: whose data-set ids the files speak in, in the order of the source's categories. `official`:
    the JSON is laid out as the official converter of Cityscapes does, to the last byte.
    """

    folder: Path
    name: str
    entries: tuple[Entry, ...]
    categories: Categories
    official: bool = False

    @property
    def table(self) -> Path:
        """The JSON file."""
        return self.folder / f"{self.name}.json"

    @property
    def pictures(self) -> Path:
        """The folder of the panoptic PNGs."""
        return self.folder / self.name


def plan_panoptic(source: TruthSource, folder: Path, name: str) -> Plan:
    """The usual files: every panoptic PNG is called like its image, with the ending .png.

    Raises DataError when two samples share an id.
    """
    ids = list(source.image_ids)
    doubled = [id for id, times in Counter(ids).items() if times > 1]
    if doubled:
        raise DataError(f"two images have the id {doubled[0]!r}; give every image its own")
    entries = map(Entry, ids, source.names, png_names(source.names))
    return Plan(folder, name, tuple(entries), source.categories)


def plan_cityscapes(
    source: TruthSource, folder: Path, split: str, *, train_ids: bool = False, name: str | None = None
) -> Plan:
    """The files of the official converter, cityscapesscripts' createPanopticImgs.

    If no `name` is given they are called cityscapes_panoptic_SPLIT, with `train_ids`
    cityscapes_panoptic_SPLIT_trainId, and there the category ids are trainIds, not labelIds. The official
    file names listed under images contain `gtFine`, though the image files' own names do not. Raises
    CategoryError for other categories than the 19 evaluated ones.
    """
    official = Categories.builtin("cityscapes")
    if source.categories.names != official.names:
        raise CategoryError(
            "the official Cityscapes files have its own 19 categories; leave out --categories for them"
        )
    entries = tuple(
        Entry(id, f"{id}_gtFine_leftImg8bit.png", f"{id}_gtFine_panoptic.png") for id in source.image_ids
    )
    usual = f"cityscapes_panoptic_{split}" + ("_trainId" if train_ids else "")
    spoken = train_id_categories() if train_ids else official
    return Plan(folder, name or usual, entries, spoken, official=True)


def png_names(names: Sequence[str]) -> list[str]:
    """A different name of a PNG for each image file, relative and below the folder where it will lie.

    It is the image's own with the ending .png (a/b.jpg is a/b.png); where that would make two alike,
    whatever the letter case, the old ending stays (b.jpg.png), and where that does not help, a number is
    added.
    """
    safe = [PurePosixPath(*_below(name)) for name in names]
    wanted = [str(path.with_suffix(".png")) for path in safe]
    times = Counter(map(_key, wanted))
    taken: set[str] = {_key(name) for name in wanted if times[_key(name)] == 1}
    for position, name in enumerate(wanted):
        if times[_key(name)] > 1:
            fresh, number = f"{safe[position]}.png", 1
            while _key(fresh) in taken:
                number += 1
                fresh = f"{safe[position]}_{number}.png"
            taken.add(_key(fresh))
            wanted[position] = fresh
    return wanted


def _below(name: str) -> list[str]:
    """The parts of a path that lead downwards: names come from files, and must not lead anywhere else."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return [_NO_NAME.sub("_", part) for part in parts] or ["picture"]


def _key(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()
