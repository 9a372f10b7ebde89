"""What the folder of a data set holds: for each kind of data set, its splits and how each is opened."""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pansight.categories import Categories
from pansight.data import cityscapes
from pansight.data.ade20k import AdeChallenge, AdeFull
from pansight.data.coco import CocoPanoptic
from pansight.data.dataset import PanopticDataset
from pansight.data.folders import DiskFolder, existing_folder, open_folder
from pansight.data.mapillary import Mapillary, read_classes
from pansight.errors import DataError

PathLike = str | os.PathLike[str]


class Places(NamedTuple):
    """What a user says beyond the data set's folder: images, labels, and the category set to use."""

    images: PathLike | None = None
    panoptic: PathLike | None = None
    categories: Categories | None = None


Splits = dict[str, Callable[[Places], PanopticDataset]]
"""How each split is opened, by its name."""

_NO_LABELS = re.compile(r"categor|detection|cityscapes_|ade20k_|_city_vps|gt_VIPSeg")
_ADE_ROOTS = ("ADEChallengeData2016", "ADE20K_2021_17_01", "ADE20K_2016_07_26")
_SPLIT_FOLDERS = ("training", "train", "validation", "val", "testing", "test")


def coco_splits(root: Path, places: Places) -> Splits:
    """`panoptic_SPLIT.json` in the folder or in `annotations/`."""
    found: Splits = {}
    for folder in (root, root / "annotations"):
        for path in sorted(folder.glob("*panoptic*.json")):
            if not _NO_LABELS.search(path.stem):
                found.setdefault(split_of(path), partial(open_json, path))
    return found


def split_of(path: Path) -> str:
    """The split that the name of a JSON says: panoptic_val2017.json is val2017."""
    return re.sub(r"_trainId$", "", re.sub(r"^.*panoptic_", "", path.stem))


def open_json(path: Path, places: Places) -> CocoPanoptic:
    """A panoptic JSON, with the images where they usually lie; without, where they lie nowhere."""
    if path.stem.startswith("cityscapes_panoptic_"):
        return cityscapes.open_official(path, places.images, places.panoptic, places.categories)
    own = Categories.builtin("ade20k") if path.stem.startswith("ade20k_panoptic_") else None
    data = CocoPanoptic(path, None, places.panoptic, places.categories, own_categories=own)
    if places.images is None:
        said = data.said_pictures
        there = [said] if said is not None and os.path.exists(said) else []  # noqa: PTH110  (never raises)
        data.look_for_pictures(chain(there, picture_places(path)))
    else:
        images = Path(places.images)
        within = [images / name for name in _folder_names(split_of(path))]
        if not data.look_for_pictures([images, *within]):
            data.set_pictures(images)
    return data


def _folder_names(split: str) -> list[str]:
    """What the folder of a split may be called."""
    return [split, *(name for name in _SPLIT_FOLDERS if _short(name) == _short(split) != "")]


def picture_places(path: Path) -> Iterator[Path]:
    """Where the images of a panoptic JSON may lie, the likeliest first."""
    split = split_of(path)
    names = _folder_names(split)
    for base in path.absolute().parents[:3]:
        for name in names:
            yield base / "images" / name
            yield base / name
            yield base / "leftImg8bit" / name
        yield base / f"{split}_img"
        yield base / "images"
        yield base


def cityscapes_splits(root: Path, places: Places) -> Splits:
    """`gtFine/SPLIT/CITY/*_instanceIds.png`, and the official panoptic files where there is nothing else."""
    official = cityscapes_panoptic_splits(root, places)
    if places.panoptic is not None and _has_json(Path(places.panoptic)):
        return official
    labels = Path(places.panoptic) if places.panoptic is not None else cityscapes.labels_folder(root)
    if labels is None:
        return official
    images = cityscapes.pictures_folder(root, places.images)
    raw: Splits = {}
    for split in cityscapes.raw_splits(open_folder(labels)):
        raw[split] = partial(_cityscapes, labels, images, split)
    return {**official, **raw}


def _cityscapes(labels: Path, images: Path | None, split: str, places: Places) -> cityscapes.Cityscapes:
    return cityscapes.Cityscapes(labels, images, split, places.categories)


def cityscapes_panoptic_splits(root: Path, places: Places) -> Splits:
    """`gtFine/cityscapes_panoptic_SPLIT.json`, as the official converter writes them."""
    return {split: partial(open_json, path) for split, path in cityscapes.panoptic_files(root).items()}


def ade20k_splits(root: Path, places: Places, *, blobs: bool = False) -> Splits:
    """The challenge, with panoptic JSON files where they are, or the full release."""
    root = next((root / name for name in _ADE_ROOTS if (root / name).is_dir()), root)
    found: Splits = {}
    if (root / "annotations").is_dir() and (root / "images").is_dir():
        for split in _folders(root / "annotations"):
            found[split] = partial(_ade_challenge, root, split, blobs)
        for path in sorted(root.glob("ade20k_panoptic_*.json")):
            for split in [name for name in found if not blobs and _short(name) == _short(split_of(path))]:
                del found[split]
            if not blobs:
                found[split_of(path)] = partial(open_json, path)
    elif not blobs and _is_full_release(root):
        folders = {part for name in DiskFolder(root).listing("_seg.png") for part in Path(name).parts[:-1]}
        for split in [name for name in _SPLIT_FOLDERS if name in folders]:
            found[split] = partial(_ade_full, root, split)
    return found


def _is_full_release(root: Path) -> bool:
    """Whether *_seg.png lie there, without a walk through folders that are something else."""
    starts = (root / "images" / "ADE", root / "images", root)
    return any((start / split).is_dir() for start in starts for split in ("training", "validation")) and bool(
        DiskFolder(root).listing("_seg.png")
    )


def _ade_challenge(root: Path, split: str, blobs: bool, places: Places) -> PanopticDataset:
    labels = Path(places.panoptic) if places.panoptic is not None else root / "annotations" / split
    if _has_json(labels):
        return open_json(labels.with_suffix(".json"), places)
    images = Path(places.images) if places.images is not None else existing_folder(root / "images" / split)
    instances = existing_folder(root / "annotations_instance" / split)
    return AdeChallenge(labels, images, instances, places.categories, blobs=blobs)


def _ade_full(root: Path, split: str, places: Places) -> AdeFull:
    return AdeFull(root, split, places.categories)


def mapillary_splits(root: Path, places: Places, *, version: str | None = None) -> Splits:
    """`SPLIT/VERSION/{instances,panoptic}`; of several versions v1.2, unless `version` says which."""
    found: Splits = {}
    for split in _folders(root):
        folder = root / split
        if not existing_folder(folder / "images"):
            continue
        for name in ("v1.2", "v2.0") if version is None else (version,):
            labels = folder / name
            if not labels.is_dir() and name == "v1.2":
                labels = folder
            if existing_folder(labels / "instances", labels / "panoptic"):
                found[split] = partial(_mapillary, root, folder, labels, name)
                break
    return found


def _mapillary(root: Path, folder: Path, labels: Path, version: str, places: Places) -> PanopticDataset:
    images = Path(places.images) if places.images is not None else existing_folder(folder / "images")
    panoptic = Path(places.panoptic) if places.panoptic is not None else labels / "panoptic"
    tables = sorted(panoptic.glob("panoptic_*.json")) if panoptic.is_dir() else []
    if len(tables) > 1:
        raise DataError(
            f"{panoptic}: {', '.join(path.name for path in tables)} are too many; open one of them"
        )
    if tables:
        return CocoPanoptic(tables[0], images, panoptic, places.categories)
    instances = panoptic if places.panoptic is not None else existing_folder(labels / "instances")
    if instances is None:
        raise DataError(f"{labels}: neither panoptic files nor instances in it; unpack the data set again")
    config = next(
        (path for path in (root / f"config_{version}.json", root / "config.json") if path.is_file()), None
    )
    return Mapillary(instances, images, read_classes(config, version), places.categories)


def _has_json(path: Path) -> bool:
    return path.suffix == ".json" or path.with_suffix(".json").is_file()


def _folders(root: Path) -> list[str]:
    """The splits that are folders in the root."""
    return [name for name in _SPLIT_FOLDERS if (root / name).is_dir()]


def _short(split: str) -> str:
    """train, val or test for any way to write it, else nothing."""
    found = re.search(r"(?<![A-Za-z])(train|val|test)", split)
    return found[1] if found else ""
