"""One way into every data set: `open_dataset` detects what is at a location, and gives samples."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pansight.categories import Categories
from pansight.data.dataset import PanopticDataset
from pansight.data.instances_files import find_instances, instances_advice
from pansight.data.layouts import (
    Places,
    Splits,
    ade20k_splits,
    cityscapes_panoptic_splits,
    cityscapes_splits,
    coco_splits,
    mapillary_splits,
    open_json,
)
from pansight.data.videos import (
    cityscapes_vps_splits,
    is_nested,
    kitti_step_splits,
    open_video_json,
    vipseg_splits,
)
from pansight.errors import DataError, InputError
from pansight.scenes import HELD_OUT_SCENES, SceneClips, SceneDataset

__all__ = [
    "DETECTED",
    "KINDS",
    "SCENES",
    "SCENE_CLIPS",
    "PanopticDataset",
    "choose_split",
    "dataset_splits",
    "has_split",
    "open_dataset",
]

PathLike = str | os.PathLike[str]


class UnknownLayoutError(DataError):
    """A folder in which no data set with panoptic labels is recognised."""


class Kind(NamedTuple):
    """A kind of data set: its splits in a folder, none if it is not there, and what it is known by."""

    splits: Callable[[Path, Places], Splits]
    layout: str


DETECTED: dict[str, Kind] = {
    "coco": Kind(coco_splits, "panoptic_*.json, or annotations/panoptic_*.json"),
    "cityscapes": Kind(cityscapes_splits, "gtFine/SPLIT/CITY/*_instanceIds.png"),
    "ade20k": Kind(ade20k_splits, "images/ and annotations/, or *_seg.png"),
    "mapillary": Kind(mapillary_splits, "SPLIT/images with SPLIT/instances or SPLIT/v1.2"),
    "cityscapes-vps": Kind(cityscapes_vps_splits, "panoptic_gt_SPLIT_city_vps.json"),
    "vipseg": Kind(vipseg_splits, "panoptic_gt_VIPSeg_SPLIT.json, or panomasks/VIDEO/*.png"),
    "kitti-step": Kind(kitti_step_splits, "panoptic_maps/SPLIT/SEQUENCE/*.png"),
}
"""The kinds that are known by what lies in a folder."""


def _prediction_splits(root: Path, places: Places) -> Splits:
    """What `pansight predict --format coco` leaves of images or videos: predictions.json and predictions/."""
    file = root / "predictions.json"
    if not file.is_file() or not (root / "predictions").is_dir():
        return {}
    return {"predictions": partial(open_video_json if is_nested(file) else open_json, file)}


KINDS: dict[str, Kind] = {
    **DETECTED,
    "cityscapes-panoptic": Kind(cityscapes_panoptic_splits, "gtFine/cityscapes_panoptic_*.json"),
    "ade20k-blobs": Kind(partial(ade20k_splits, blobs=True), "images/ and annotations/"),
    "mapillary-v1.2": Kind(partial(mapillary_splits, version="v1.2"), "SPLIT/images with SPLIT/v1.2"),
    "mapillary-v2.0": Kind(partial(mapillary_splits, version="v2.0"), "SPLIT/images with SPLIT/v2.0"),
    "predictions": Kind(_prediction_splits, "predictions.json and predictions/"),
}
"""All kinds: those, and other readings of the same folders, which have to be asked for."""

SCENES = "scenes"
"""The location of the synthetic scenes"""
SCENE_CLIPS = "scene-clips"
"""The location of synthetic clips: scenes in motion, with ids that last"""
VIDEO = "video"
"""The kind of a JSON of videos, in any form"""
_CLIP_FRAMES = 12
_SCENE_SIZE = (192, 256)


def open_dataset(
    location: PathLike,
    *,
    kind: str | None = None,
    split: str | None = None,
    images: PathLike | None = None,
    panoptic: PathLike | None = None,
    categories: Categories | None = None,
) -> PanopticDataset:
    """Open a data set.

    Args:
        location: a COCO panoptic JSON; or the folder of a data set; or "scenes", synthetic ones
            that no training uses.
        kind: one of `KINDS`; None: detected from the folder's contents.
        split: train, val ... or the data set's own word for it (training, val2017); None: the only one,
            or val.
        images: folder or .zip of the images, where they are not in their usual place.
        panoptic: folder or .zip of the panoptic PNGs or raw labels, likewise.
        categories: the set to use; the classes of the data set are found in it by name
            (`class_names`).

    Raises DataError, naming what exists, when no such kind, split or file exists, DataProblemsError with
    everything that is wrong in a file, or with all classes that `categories` does not have.

        >>> scenes = open_dataset("scenes")
        >>> len(scenes), scenes.categories.name
        (300, 'scenes')
    """
    places = Places(images, panoptic, categories)
    _check_kind(kind)
    if os.fspath(location) in (SCENES, SCENE_CLIPS) or kind in (SCENES, SCENE_CLIPS):
        return _scenes(split, places, SCENE_CLIPS in (os.fspath(location), kind))
    path = Path(location)
    if path.is_dir():
        kind, splits = _splits(path, kind, places)
        return splits[choose_split(splits, split, f"{path} ({kind})")](places)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file or folder; give a COCO panoptic JSON or the folder of a data set"
        )
    if kind in (VIDEO, "vipseg", "cityscapes-vps") or (kind is None and is_nested(path)):
        return open_video_json(path, places)
    if kind not in (None, "coco", "cityscapes-panoptic", "cityscapes"):
        raise DataError(f"{path}: for {kind}, give the folder of the data set, not a file")
    return open_json(path, places)


def dataset_splits(
    location: PathLike, *, kind: str | None = None, panoptic: PathLike | None = None
) -> tuple[str, ...]:
    """The splits of the data set in a folder, by its own words. Raises DataError as `open_dataset` does."""
    _check_kind(kind)
    if os.fspath(location) in (SCENES, SCENE_CLIPS) or kind in (SCENES, SCENE_CLIPS):
        return tuple(HELD_OUT_SCENES)
    return tuple(_splits(Path(location), kind, Places(panoptic=panoptic))[1])


def has_split(location: PathLike, split: str, *, kind: str | None = None) -> bool:
    """Whether the data set in a folder has a split that this word means. Raises as `open_dataset` does."""
    return bool(_meant(dataset_splits(location, kind=kind), split))


def choose_split(splits: Iterable[str], wanted: str | None, where: object) -> str:
    """The split that a word means: of that name, or beginning with it (val: val2017, validation).

    Without a word it is the only one, or the one for validation. Raises DataError, listing all.
    """
    names = list(splits)
    if wanted is None:
        if len(names) == 1:
            return names[0]
        wanted, remedy = "val", "say which with --split"
    else:
        remedy = "choose one of them"
    found = _meant(names, wanted)
    if len(found) != 1:
        raise DataError(f"{where}: has the splits {', '.join(names)}; {remedy}")
    return found[0]


def _check_kind(kind: str | None) -> None:
    others = (SCENES, SCENE_CLIPS, VIDEO)
    if kind is not None and kind not in (*KINDS, *others):
        raise DataError(f"no kind of data set is called {kind!r}; choose from {', '.join((*KINDS, *others))}")


def _meant(names: Iterable[str], wanted: str) -> list[str]:
    """The splits that a word may mean."""
    names = list(names)
    if wanted in names:
        return [wanted]
    # train2017 for train, and train for training
    return [name for name in names if name.startswith(wanted) or (len(name) > 2 and wanted.startswith(name))]


def _splits(path: Path, kind: str | None, places: Places) -> tuple[str, Splits]:
    """The kind of data set in a folder, and its splits."""
    if kind == VIDEO:
        raise DataError(f"{path}: a folder; of the kind {VIDEO}, give the JSON")
    if kind is not None:
        splits = KINDS[kind].splits(path, places)
        if not splits:
            raise DataError(f"{path}: no data set of the kind {kind} in it, which has {KINDS[kind].layout}")
        return kind, splits
    found = {name: splits for name, known in DETECTED.items() if (splits := known.splits(path, places))}
    if not found and (predicted := KINDS["predictions"].splits(path, places)):
        return "predictions", predicted
    if not found:
        instances = find_instances(path)
        if instances:
            raise UnknownLayoutError(instances_advice(instances[0]))
        layouts = "; ".join(f"{name} ({known.layout})" for name, known in DETECTED.items())
        raise UnknownLayoutError(f"{path}: no known data set in it; known are {layouts}")
    if len(found) > 1:
        raise DataError(f"{path}: could be {' or '.join(found)}; choose one with --kind")
    return next(iter(found.items()))


def _scenes(split: str | None, places: Places, clips: bool) -> SceneDataset | SceneClips:
    if any(place is not None for place in places):
        raise InputError("scenes have their own images, labels and categories; leave out these options")
    name = choose_split(list(HELD_OUT_SCENES), split or "test", SCENES)
    seed, count = HELD_OUT_SCENES[name]
    if clips:
        return SceneClips(seed, _SCENE_SIZE, count // 10, _CLIP_FRAMES)
    return SceneDataset(seed, _SCENE_SIZE, count)
