"""Where samples come from: synthetic scenes or a data set on disk."""

from dataclasses import dataclass
from pathlib import Path

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.data.sample import Sample
from pansight.data.scenes import SceneDataset
from pansight.errors import DataError
from pansight.training.config import (
    VALIDATION_SCENES_SEED,
    CocoPanopticData,
    SceneData,
    TrainConfig,
)
from pansight.training.stream import Samples

ENDLESS = 2**40
"""Scenes a seed is taken to have; a training never gets there"""


@dataclass(frozen=True)
class Sources:
    """Samples to train on, samples to validate with (None: no validation), and what they tell apart."""

    training: Samples
    validation: Samples | None
    categories: Categories


@dataclass(frozen=True)
class Joined:
    """The samples of `first` below `switch`, those of `then` from there on."""

    first: Samples
    then: Samples
    switch: int

    def __len__(self) -> int:
        return len(self.then)

    def __getitem__(self, index: int) -> Sample:
        return self.first[index] if index < self.switch else self.then[index]


def open_sources(config: TrainConfig) -> Sources:
    """The data that the configuration names. Raises DataError when it cannot be read."""
    if isinstance(config.data, SceneData):
        return _scenes(config.data, config)
    return _coco(config.data)


def _scenes(data: SceneData, config: TrainConfig) -> Sources:
    training: Samples = SceneDataset(config.seed, data.size, ENDLESS)
    if data.early_size is not None:
        early = SceneDataset(config.seed, data.early_size, ENDLESS)
        pictures = data.early_steps * config.batch_size * config.accumulate * config.devices
        training = Joined(early, training, pictures)
    validation = SceneDataset(VALIDATION_SCENES_SEED, data.size, config.validation.pictures or 100)
    return Sources(training, validation, Categories.builtin("scenes"))


def _coco(data: CocoPanopticData) -> Sources:
    categories = None if data.categories is None else Categories.builtin(data.categories)
    train_json, train_images = data.train_json, data.train_images
    if train_json is None or train_images is None:
        assert data.folder is not None  # checked with the configuration
        train_json, train_images = find_split(data.folder, "train")
    training = CocoPanoptic(train_json, train_images, data.train_masks, categories)
    validation_json, validation_images = data.validation_json, data.validation_images
    if validation_json is None and data.folder is not None and _annotations(data.folder, "val"):
        validation_json, validation_images = find_split(data.folder, "val")
    validation = None
    if validation_json is not None and validation_images is not None:
        validation = CocoPanoptic(
            validation_json, validation_images, data.validation_masks, training.categories
        )
    return Sources(training, validation, training.categories)


def find_split(folder: Path, split: str) -> tuple[Path, Path]:
    """The JSON and the picture folder of a split (`train` or `val`) in a data set's folder.

    `panoptic_<split>*.json` lies in the folder or in `annotations/`, the pictures in the folder that the
    JSON's name says. Raises DataError, naming what was looked for.
    """
    remedy = f"name data.{'train' if split == 'train' else 'validation'}_json and _images"
    found = _annotations(folder, split)
    if not found:
        raise DataError(f"{folder} has no panoptic_{split}*.json, nor has its annotations/; {remedy}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} has {len(found)} sets to choose from ({names}); {remedy}")
    images = folder / found[0].stem.removeprefix("panoptic_")
    if not images.is_dir():
        raise DataError(f"{images} does not exist, where the pictures of {found[0].name} belong")
    return found[0], images


def _annotations(folder: Path, split: str) -> list[Path]:
    places = (folder, folder / "annotations")
    return [path for place in places for path in sorted(place.glob(f"panoptic_{split}*.json"))]
