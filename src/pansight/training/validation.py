"""Panoptic quality during training."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from pansight.data.sample import Sample
from pansight.errors import DataError, InputError, PansightError
from pansight.metrics.distributed import all_reduce
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.results import PanopticQualityResult
from pansight.models.base import PanopticModel
from pansight.panoptic import PanopticBatch
from pansight.panoptic.labelling import only_categories
from pansight.runtime.devices import form_for
from pansight.runtime.engines.protocol import Rgb, Size
from pansight.runtime.segmenter import Segmenter
from pansight.training.averaging import WeightAverage
from pansight.training.config import TrainConfig
from pansight.training.journal import Journal
from pansight.training.loading import start_worker, worker_context
from pansight.training.steps import StepCallback
from pansight.training.stream import MISSING, ErrorsAsItems, Samples
from pansight.zoo.spec import ModelSpec


class LiveEngine:
    """The model under training as an engine: itself, in evaluation mode, not a copy.

    `context` makes what the network runs in, such as the trainer's autocast; it is entered in the thread that
    runs the network.
    """

    max_batch: int | None = None

    def __init__(
        self,
        model: PanopticModel,
        device: torch.device,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.model = model
        self.device = str(device)
        self.form = form_for(device)
        self.context = context
        self.spec = ModelSpec(
            name=model.method,
            method=model.method,
            config=model.config,
            categories=model.categories,
            preprocess=model.preprocess,
            description="under training",
        )

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch; see Engine."""
        with self.context():
            images, padded = self.model.preprocess.batch(frames, self.device, sizes)
            return self.model.predict(images, padded, form=self.form)


def measure(segmenter: Segmenter, samples: Iterable[Sample | PansightError]) -> PanopticQuality:
    """Panoptic quality of a model's maps, at the original sizes, held against the truth.

    Raises the first error among the samples, and what the network cannot take.
    """
    quality = PanopticQuality(segmenter.categories)
    with closing(segmenter.stream(samples, read=sound, name=_named)) as results:
        for result in results:
            if result.error is not None:
                raise result.error
            assert result.panoptic is not None
            predicted, labelling = result.panoptic, result.content.labelling
            if labelling is not None:
                predicted = only_categories(predicted, labelling.annotated)
            quality.update(predicted, result.content.panoptic, result.content.file_name)
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
        self.missed: dict[str, None] = {}
        """the images that could not be read, one line each"""

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Validate where it is due, with the averaged weights if there are any."""
        if step % self.config.validation.every and step != self.config.steps:
            return
        with self.average.applied():
            self._validate(trainer, self.average.model)

    def _validate(self, trainer: Trainer, model: PanopticModel) -> None:
        limit = self.config.validation.batch_size
        engine = LiveEngine(model, trainer.strategy.root_device, trainer.precision_plugin.val_step_context)
        # its workers start here, in the main thread
        batches = iter(self._loader(trainer))
        model.eval()
        samples = self._readable(chain.from_iterable(batches))
        quality = measure(Segmenter(engine, batch_size=limit), samples)
        if len(self.missed) > MISSING * len(self.samples):
            raise DataError(next(iter(self.missed)))
        model.train()
        row = summary(all_reduce(quality).compute())
        self.journal.write("validation", trainer.global_step, row)
        if row["pq"] > self.best:
            self.best = row["pq"]
            self.on_best(self.best)

    def _readable(self, samples: Iterable[Sample | PansightError]) -> Iterator[Sample]:
        """The samples that could be read; the others are noted, as in training."""
        for sample in samples:
            if isinstance(sample, DataError | InputError):
                self.missed[str(sample)] = None
            else:
                yield sound(sample)

    def _loader(self, trainer: Trainer) -> Iterable[Sequence[Sample | PansightError]]:
        count = min(self.config.validation.pictures or len(self.samples), len(self.samples))
        return DataLoader(
            ErrorsAsItems(self.samples),
            sampler=range(trainer.global_rank, count, trainer.world_size),
            batch_size=self.config.validation.batch_size,
            collate_fn=_unchanged,
            num_workers=self.config.workers,
            worker_init_fn=start_worker,
            multiprocessing_context=worker_context(self.config.workers),
        )

    def state_dict(self) -> dict[str, Any]:
        """What checkpoints hold of it."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best = state_dict["best"]


def _named(index: int, sample: Sample | PansightError) -> str:
    return sample.file_name if isinstance(sample, Sample) else str(sample)


def sound(sample: Sample | PansightError) -> Sample:
    """The sample; raises what came in its place."""
    if isinstance(sample, PansightError):
        raise sample
    return sample


def _unchanged(samples: list[Sample | PansightError]) -> list[Sample | PansightError]:
    return samples
