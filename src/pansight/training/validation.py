"""Panoptic quality during training."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from pansight.data.labelling import only_categories
from pansight.data.sample import Sample
from pansight.errors import PansightError
from pansight.metrics.distributed import all_reduce
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.results import PanopticQualityResult
from pansight.models.base import PanopticModel
from pansight.runtime.devices import form_for
from pansight.training.averaging import WeightAverage
from pansight.training.config import TrainConfig
from pansight.training.data_module import start_worker
from pansight.training.journal import Journal
from pansight.training.steps import StepCallback
from pansight.training.stream import ErrorsAsItems, Samples


def batches_of_one_size(samples: Sequence[Sample], limit: int) -> Iterator[list[Sample]]:
    """Neighbours of equal size together, at most `limit`: padding among them would change the results."""
    group: list[Sample] = []
    for sample in samples:
        if group and (len(group) == limit or sample.image.shape != group[0].image.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


@torch.inference_mode()
def measure(
    model: PanopticModel,
    batches: Iterable[Sequence[Sample | PansightError]],
    device: torch.device,
    limit: int,
) -> PanopticQuality:
    """Panoptic quality of the model (in evaluation mode) on samples that come in lists.

    Pictures are resized as the model says; its maps, at the original sizes, are held against the truth. At
    most `limit` pictures go through the network together.
    """
    quality = PanopticQuality(model.categories)
    form = form_for(device)
    for samples in batches:
        for group in batches_of_one_size([sound(sample) for sample in samples], limit):
            images, sizes = model.preprocess.batch([sample.image for sample in group], device)
            maps = model.predict(images, sizes, form=form).to_maps(model.categories)
            for predicted, sample in zip(maps, group, strict=True):
                if sample.labelling is not None:
                    predicted = only_categories(predicted, sample.labelling.annotated)
                quality.update(predicted, sample.panoptic, sample.file_name)
    return quality


def summary(result: PanopticQualityResult) -> dict[str, float]:
    """The figures of a row of the log, in per cent; not a number where a group has no segments at all."""
    row: dict[str, float] = {}
    for suffix, group in (("", result.all), ("_things", result.things), ("_stuff", result.stuff)):
        for name in ("pq", "sq", "rq"):
            row[name + suffix] = 100 * getattr(group, name) if group else float("nan")
    return row


class Validation(StepCallback):
    """Measures panoptic quality every so many steps and after the last; tells when it is the best so far.

    Every process measures a share of the pictures; the counts are exact, whatever the shares.
    """

    def __init__(
        self,
        config: TrainConfig,
        samples: Samples,
        average: WeightAverage,
        journal: Journal,
        on_best: Callable[[float], None],
    ) -> None:
        self.config = config
        self.samples = samples
        self.average = average
        self.journal = journal
        self.on_best = on_best
        self.best = -1.0

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Validate where it is due, with the averaged weights if there are any."""
        if step % self.config.validation.every and step != self.config.steps:
            return
        with self.average.applied():
            self._validate(trainer, self.average.model)

    def _validate(self, trainer: Trainer, model: PanopticModel) -> None:
        limit = self.config.validation.batch_size
        model.eval()
        with trainer.precision_plugin.val_step_context():
            quality = measure(model, self._loader(trainer), trainer.strategy.root_device, limit)
        model.train()
        row = summary(all_reduce(quality).compute())
        self.journal.write("validation", trainer.global_step, row)
        if row["pq"] > self.best:
            self.best = row["pq"]
            self.on_best(self.best)

    def _loader(self, trainer: Trainer) -> Iterable[Sequence[Sample | PansightError]]:
        count = min(self.config.validation.pictures or len(self.samples), len(self.samples))
        return DataLoader(
            ErrorsAsItems(self.samples),
            sampler=range(trainer.global_rank, count, trainer.world_size),
            batch_size=self.config.validation.batch_size,
            collate_fn=_unchanged,
            num_workers=self.config.workers,
            worker_init_fn=start_worker,
        )

    def state_dict(self) -> dict[str, Any]:
        """What checkpoints hold of it."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best = state_dict["best"]


def sound(sample: Sample | PansightError) -> Sample:
    """The sample; raises what came in its place."""
    if isinstance(sample, PansightError):
        raise sample
    return sample


def _unchanged(samples: list[Sample | PansightError]) -> list[Sample | PansightError]:
    return samples
