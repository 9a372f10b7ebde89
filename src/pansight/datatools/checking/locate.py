"""Where the files of a COCO panoptic set lie: JSON, panoptic PNGs and images, as people arrange them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pansight.data.coco import PROBED, find_picture, id_picture_places
from pansight.data.folders import Folder, existing_folder, open_folder
from pansight.data.layouts import picture_places
from pansight.datatools.checking import kinds
from pansight.datatools.checking.document import Document
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.kinds import Kind
from pansight.errors import DataError

_SPLIT = re.compile(r"(?<![A-Za-z])(?:train|val|test)(?:ing|idation)?(?![A-Za-z])")


class PanopticFiles(NamedTuple):
    """A panoptic JSON, and the folders that were named for its panoptic PNGs and its images."""

    json: Path
    panoptic: Path | None = None
    images: Path | None = None

    @property
    def split(self) -> str:
        """ "train", "val" or "test" where the name of the JSON says so, else that name."""
        found = _SPLIT.search(self.json.stem)
        return found[0].removesuffix("ing").removesuffix("idation") if found else self.json.stem

    @property
    def family(self) -> str:
        """The name of the JSON without its split: alike for the splits of one data set."""
        return _SPLIT.sub("*", self.json.stem)


def find_panoptic_files(
    location: str | os.PathLike[str],
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    panoptic: str | os.PathLike[str] | None = None,
) -> list[PanopticFiles]:
    """The panoptic sets at a location: a JSON, or a folder that holds some, perhaps in `annotations/`.

    A set counts as panoptic by its name (`panoptic` in it). Gives none where there are none.
    Raises DataError when the split does not exist.
    """
    location = Path(location)
    given = (Path(panoptic) if panoptic is not None else None, Path(images) if images is not None else None)
    if location.suffix.lower() == ".json" or location.is_file():
        return [PanopticFiles(location, *given)]
    places = (location, location / "annotations", location / "gtFine", location / "panoptic")
    found = [
        PanopticFiles(path, *given)
        for place in places
        for path in sorted(place.glob("*panoptic*.json"))
        if not any(word in path.stem for word in ("categories", "detection"))
        and not (split is None and _is_variant(path))
    ]
    if split is None:
        return found
    chosen = [files for files in found if files.split == split or files.json.stem.endswith(split)]
    if found and not chosen:
        exist = ", ".join(sorted({files.split for files in found}))
        raise DataError(f"{location}: no split {split!r} in it; there are {exist}")
    return chosen


def find_labels(files: PanopticFiles, names: Sequence[str], notes: Notes) -> tuple[Path, Folder | None]:
    """The folder or archive of the panoptic PNGs: the one named, else one next to the JSON.

    None in place of the folder where nothing is. Archives that cannot be read are noted.
    """
    places = id_picture_places(files.json) if files.panoptic is None else (files.panoptic,)
    for place in places:
        path = existing_folder(place) or place
        folder = _opened(path, kinds.LABELS_BROKEN, notes)
        if folder is not None and (files.panoptic is not None or _holds(folder, names)):
            return path, folder
    path = existing_folder(places[0]) or places[0]
    return path, _opened(path)


def find_pictures(files: PanopticFiles, document: Document, labels: Path, notes: Notes) -> Folder | None:
    """The folder or archive of the images: the one named, else where some of the listed ones lie.

    None where nothing is. Archives that cannot be read are noted. Raises DataError when the one named does
    not exist.
    """
    if files.images is not None:
        return open_folder(files.images)
    names = [document.picture_name(annotation) for annotation in document.annotations[:PROBED]]
    for place in dict.fromkeys(picture_places(files.json)):
        path = existing_folder(place)
        usable = path is not None and path != labels.absolute()
        folder = _opened(path, kinds.PICTURE_BROKEN, notes) if path is not None and usable else None
        if folder is not None and any(find_picture(folder, name) for name in names):
            return folder
    return None


def _opened(path: Path, broken: Kind | None = None, notes: Notes | None = None) -> Folder | None:
    try:
        return open_folder(path)
    except DataError as error:
        if broken is not None and notes is not None and path.is_file():
            notes.add(broken, str(error).partition(";")[0])
        return None


def _is_variant(path: Path) -> bool:
    """Whether the same labels exist next to it in the preferred form."""
    return path.stem.endswith("_trainId") and path.with_name(path.name.replace("_trainId", "")).exists()


def _holds(folder: Folder, names: Sequence[str]) -> bool:
    return any(folder.find(name) for name in names[:PROBED])
