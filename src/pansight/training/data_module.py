"""The data of one training in Lightning's terms."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from pansight.categories import Categories
from pansight.data.transforms import (
    Compose,
    HorizontalFlip,
    Transform,
    crop_and_color,
    large_scale_jitter,
    photographs,
    short_sides,
    squash_and_crop,
    window_and_rescale,
)
from pansight.training.config import Augmentation, TrainConfig
from pansight.training.loading import WatchedLoader, collate_or_error, start_worker, worker_context
from pansight.training.sources import Sources
from pansight.training.stream import EndlessBatches, ErrorsAsItems, ExampleStream, Samples

BUILDERS: dict[str, Callable[[Augmentation], Transform]] = {
    "none": lambda _: Compose(),
    "flip": lambda _: Compose((HorizontalFlip(),)),
    "lsj": lambda told: large_scale_jitter(told.size, *told.scales),
    "crop": lambda told: crop_and_color(told.short, told.longest, told.size, told.pad),
    "sides": lambda told: short_sides(told.sides, told.longest, told.window),
    "window": lambda told: window_and_rescale(told.size, *told.scales),
    "photo": lambda told: photographs(told.size, *told.scales),
    "squash": lambda told: squash_and_crop(told.size, *told.scales, told.color, told.flip),
}
"""Transforms by the kinds of `Augmentation`."""


def augmentation(settings: Augmentation) -> Transform:
    """The transforms that the settings name."""
    return BUILDERS[settings.kind](settings)


class PanopticData(LightningDataModule):
    """Endless training batches, continued at the trainer's step.

    Args:
        config: of the whole training.
        sources: samples to train on and to validate with.
        divisor: of the sides of batches, the model's.
    """

    def __init__(self, config: TrainConfig, sources: Sources, divisor: int) -> None:
        super().__init__()
        self.config = config
        self.sources = sources
        self.divisor = divisor

    @property
    def categories(self) -> Categories:
        """The categories of the data set."""
        return self.sources.categories

    @property
    def validation(self) -> Samples | None:
        """Samples to validate with."""
        return self.sources.validation

    def train_dataloader(self) -> DataLoader[Any]:
        """A loader that never ends. Asked for when training starts or resumes, it starts at that step.

        It gives TrainingBatch, or the PansightError that says why a sample cannot be read.
        """
        config = self.config
        step, rank, world = 0, 0, 1
        if self.trainer is not None:
            step, rank, world = self.trainer.global_step, self.trainer.global_rank, self.trainer.world_size
        batches = EndlessBatches(
            len(self.sources.training),
            config.batch_size,
            config.seed,
            shuffle=config.data.kind not in ("scenes", "mixture"),
            start=step * config.accumulate,
            rank=rank,
            world=world,
        )
        transform = augmentation(config.data.augmentation)
        return WatchedLoader(
            ErrorsAsItems(ExampleStream(self.sources.training, transform, config.seed)),
            batch_sampler=batches,
            num_workers=config.workers,
            collate_fn=partial(collate_or_error, divisor=self.divisor),
            worker_init_fn=start_worker,
            multiprocessing_context=worker_context(config.workers),
            persistent_workers=config.workers > 0,
            pin_memory=config.device != "cpu" and torch.cuda.is_available(),
        )
