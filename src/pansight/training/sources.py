"""Where samples come from: synthetic scenes or a data set on disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from pansight.categories import Categories
from pansight.data.sample import Sample
from pansight.training.config import (
    VALIDATION_SCENES_SEED,
    CocoPanopticData,
    SceneData,
    TrainConfig,
)

ENDLESS = 2**40
"""Scenes a seed is taken to have; a training never gets there"""


@dataclass(frozen=True)
class Sources:
    """Samples to train on, samples to validate with (None: no validation), and what they tell apart."""

    training: Sequence[Sample]
    validation: Sequence[Sample] | None
    categories: Categories


@dataclass(frozen=True)
class Joined(Sequence[Sample]):
    """The samples of `first` below `switch`, those of `then` from there on."""

    first: Sequence[Sample]
    then: Sequence[Sample]
    switch: int

    def __len__(self) -> int:
        return len(self.then)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return self.first[index] if index < self.switch else self.then[index]


def open_sources(config: TrainConfig) -> Sources:
    """The data that the configuration names. Raises DataError when it cannot be read."""
    if isinstance(config.data, SceneData):
        return _scenes(config.data, config)
    return _coco(config.data)


def _scenes(data: SceneData, config: TrainConfig) -> Sources:
    from pansight.data.scenes import SceneDataset

    training: Sequence[Sample] = SceneDataset(config.seed, data.size, ENDLESS)
    if data.early_size is not None:
        early = SceneDataset(config.seed, data.early_size, ENDLESS)
        pictures = data.early_steps * config.batch_size * config.accumulate * config.devices
        training = Joined(early, training, pictures)
    validation = SceneDataset(VALIDATION_SCENES_SEED, data.size, config.validation.pictures)
    return Sources(training, validation, Categories.builtin("scenes"))


def _coco(data: CocoPanopticData) -> Sources:
    from pansight.data.coco import CocoPanoptic

    training = CocoPanoptic(data.train_json, data.train_images, data.train_masks)
    validation = None
    if data.validation_json and data.validation_images and data.validation_masks:
        validation = CocoPanoptic(data.validation_json, data.validation_images, data.validation_masks)
    return Sources(training, validation, training.categories)
