"""Where samples come from: synthetic scenes or a data set on disk."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pansight.categories import Categories, read_categories
from pansight.data.class_maps import ClassMap, categories_of, correspond, read_class_map
from pansight.data.coco import CocoPanoptic
from pansight.data.labelling import find_labelling
from pansight.data.opening import PanopticDataset, dataset_splits, has_split, open_dataset
from pansight.data.relabelled import Relabelled
from pansight.data.sample import Sample
from pansight.errors import DataError, InputError
from pansight.panoptic.labelling import Labelling
from pansight.scenes import SceneDataset
from pansight.training.config import (
    VALIDATION_SCENES_SEED,
    DataOnDisk,
    MixtureData,
    SceneData,
    TrainConfig,
)
from pansight.training.held_out import hold_out
from pansight.training.mixing import open_mixture
from pansight.training.stream import Samples

_NOT_FOR_TRAINING = re.compile(r"(val|valid|validation|test|testing)([\d_.-].*)?$", re.IGNORECASE)
"""Names of splits that hold images to measure with."""

LOOKS = 4
"""samples that are tried before a data set counts as unreadable"""

ENDLESS = 2**40
"""Scenes a seed is taken to have; a training never gets there"""


@dataclass(frozen=True)
class Sources:
    """Samples to train on, samples to validate with (None: no validation), and their categories."""

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
    if isinstance(config.data, MixtureData):
        training, validation = open_mixture(config.data, config.seed, config.validation.pictures)
        return Sources(training, validation, training.categories)
    return _on_disk(config.data)


def _scenes(data: SceneData, config: TrainConfig) -> Sources:
    training: Samples = SceneDataset(config.seed, data.size, ENDLESS)
    if data.early_size is not None:
        early = SceneDataset(config.seed, data.early_size, ENDLESS)
        processes = config.devices * config.nodes
        pictures = data.early_steps * config.batch_size * config.accumulate * processes
        training = Joined(early, training, pictures)
    validation = SceneDataset(VALIDATION_SCENES_SEED, data.size, config.validation.pictures or 100)
    return Sources(training, validation, Categories.builtin("scenes"))


def _on_disk(data: DataOnDisk) -> Sources:
    categories = None if data.categories is None else read_categories(data.categories)
    training = _training(data, categories)
    validation = _validation(data, training.categories)
    if validation is None:
        training, validation = hold_out(training, data.held_out)
    # What keeps every image from being read, such as a wrong folder, shows before the model is built.
    for samples in filter(None, (training, validation)):
        _look(samples)
    return Sources(training, validation, training.categories)


def _look(samples: Samples) -> None:
    """Read one sample. Raises DataError, as the first one says, where none of a few can be read."""
    first: DataError | InputError | None = None
    for place in sorted({len(samples) * part // LOOKS for part in range(LOOKS)}):
        try:
            samples[place]
            return
        except (DataError, InputError) as error:
            first = first or error
    if first is not None:
        raise first


def _training(data: DataOnDisk, categories: Categories | None) -> PanopticDataset:
    if data.map is None:
        return _labelled(_opened(data, categories), data.train_json or data.folder)
    own = _opened(data, None)
    mapping = read_class_map(data.map)
    wanted = categories or categories_of(mapping, own.categories)
    return _mapped(own, mapping, wanted, data.train_json or data.folder)


def _mapped(
    own: PanopticDataset, mapping: ClassMap, wanted: Categories, place: Path | None
) -> PanopticDataset:
    """The data set in the model's categories; what has no place there is unlabelled."""
    found = correspond(mapping, wanted, own.categories)
    remark = found.remark()
    if remark is not None:
        print(f"remark: {remark}", file=sys.stderr)
    if all(new is None for new in found.places.values()):
        raise DataError("the class map leaves nothing of the data; see `pansight data map`")
    labelling = None if place is None else find_labelling(place, own.categories)
    every = frozenset(range(len(own.categories)))
    labelling = (labelling or Labelling(every, every)).translated(found.places)
    return Relabelled(own, found.places, wanted, labelling)


def _labelled(dataset: PanopticDataset, place: Path | None) -> PanopticDataset:
    """The data set with the `labelled.json` next to it applied, if there is one."""
    labelling = None if place is None else find_labelling(place, dataset.categories)
    if labelling is None:
        return dataset
    same = dict(enumerate(range(len(dataset.categories))))
    return Relabelled(dataset, same, dataset.categories, labelling)


def _opened(data: DataOnDisk, categories: Categories | None) -> PanopticDataset:
    if data.train_json is not None and data.train_images is not None:
        return CocoPanoptic(data.train_json, data.train_images, data.train_masks, categories)
    assert data.folder is not None  # checked with the configuration
    split = None if data.folder.is_file() else _train_split(data, data.folder)
    return open_dataset(data.folder, kind=data.layout, split=split, images=data.images, categories=categories)


def _train_split(data: DataOnDisk, folder: Path) -> str:
    """The split to train on: the only one there is, unless its name says that it is for something else."""
    splits = dataset_splits(folder, kind=data.layout)
    asked = "train_split" in data.model_fields_set
    if asked or len(splits) != 1 or splits[0] == data.validation_split or _NOT_FOR_TRAINING.match(splits[0]):
        return data.train_split
    return splits[0]


def _validation(data: DataOnDisk, categories: Categories) -> PanopticDataset | None:
    """Samples to validate with, in the categories of the training; None where there are none."""
    place = data.validation_json or data.folder
    if data.map is not None:
        own = _held_out(data, None)
        return None if own is None else _mapped(own, read_class_map(data.map), categories, place)
    own = _held_out(data, categories)
    return None if own is None else _labelled(own, place)


def _held_out(data: DataOnDisk, categories: Categories | None) -> PanopticDataset | None:
    if data.validation_json is not None and data.validation_images is not None:
        return CocoPanoptic(data.validation_json, data.validation_images, data.validation_masks, categories)
    if data.folder is None or data.folder.is_file():
        return None
    if not has_split(data.folder, data.validation_split, kind=data.layout):
        return None
    return open_dataset(
        data.folder, kind=data.layout, split=data.validation_split, images=data.images, categories=categories
    )
