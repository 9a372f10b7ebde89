"""Panoptic quality during training."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from lightning.pytorch import LightningModule, Trainer

from pansight.data.sample import Sample
from pansight.drawing import contact_sheet, overlay
from pansight.errors import DataError, InputError, PansightError
from pansight.metrics.distributed import all_reduce
from pansight.metrics.evaluation import Evaluation
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.results import PanopticQualityResult
from pansight.models.base import PanopticModel
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.panoptic.labelling import only_categories
from pansight.runtime.devices import form_for
from pansight.runtime.engines.protocol import Rgb, Size
from pansight.runtime.evaluating import spread
from pansight.runtime.segmenter import Segmenter
from pansight.training.averaging import WeightAverage
from pansight.training.checkpoints import Checkpoints
from pansight.training.config import TrainConfig
from pansight.training.journal import Journal
from pansight.training.loading import WatchedLoader, start_worker, unchanged, worker_context
from pansight.training.steps import StepCallback
from pansight.training.stream import MISSING, ErrorsAsItems, Samples
from pansight.zoo.spec import ModelSpec

SHOWN = 320
"""width of each image in what a validation draws"""


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


Look = Callable[[Sample, PanopticMap], object]


def measure(
    segmenter: Segmenter, samples: Iterable[Sample | PansightError], look: Look | None = None
) -> PanopticQuality:
    """Panoptic quality of a model's maps, at the original sizes, against the truth.

    `look` is called with every sample and the model's map of it. Raises the first error among the samples,
    and what the network cannot take.
    """
    quality = PanopticQuality(segmenter.categories)
    score(segmenter, samples, quality, look)
    return quality


def score(
    segmenter: Segmenter,
    samples: Iterable[Sample | PansightError],
    into: PanopticQuality | Evaluation,
    look: Look | None = None,
) -> None:
    """As `measure`, into measures of the caller's."""
    with closing(segmenter.stream(samples, read=sound, name=_named)) as results:
        for result in results:
            if result.error is not None:
                raise result.error
            assert result.panoptic is not None
            predicted, labelling = result.panoptic, result.content.labelling
            if look is not None:
                look(result.content, predicted)
            if labelling is not None:
                predicted = only_categories(predicted, labelling.annotated)
            into.update(predicted, result.content.panoptic, result.content.file_name)


def summary(result: PanopticQualityResult) -> dict[str, float]:
    """The figures of a row of the log, in per cent; not a number where a group has no segments at all."""
    row: dict[str, float] = {}
    for suffix, group in (("", result.all), ("_things", result.things), ("_stuff", result.stuff)):
        for name in ("pq", "sq", "rq"):
            row[name + suffix] = 100 * getattr(group, name) if group else float("nan")
    return row


class Validation(StepCallback):
    """Measures panoptic quality at regular steps and after the last; says when it is the best so far.

    Every process measures a share of the images; the counts are exact, whatever the shares.
    """

    def __init__(
        self,
        config: TrainConfig,
        samples: Samples,
        average: WeightAverage,
        journal: Journal,
        on_best: Callable[[float], None],
        checkpoints: Checkpoints,
    ) -> None:
        self.config = config
        self.samples = samples
        self.average = average
        self.journal = journal
        self.on_best = on_best
        self.checkpoints = checkpoints
        self.best = -1.0
        self.waited = 0
        """validations since the best"""
        self.pending = False
        """whether one was interrupted, to be repeated when the training resumes"""
        self.missed: dict[str, None] = {}
        """the images that could not be read, one line each"""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Repeat a validation that a signal interrupted."""
        super().on_train_start(trainer, pl_module)
        if self.pending:
            self._run(trainer)

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Validate when it is due, with the averaged weights if there are any."""
        if step % self.config.validation.every and step != self.config.steps:
            return
        self._run(trainer)

    def _run(self, trainer: Trainer) -> None:
        with self.average.applied():
            self.pending = not self._validate(trainer, self.average.model)

    def _validate(self, trainer: Trainer, model: PanopticModel) -> bool:
        """Whether it was carried through: schedulers that take a machine away do not wait for its end.

        Several processes carry it through always: they would break off at different images.
        """
        limit = self.config.validation.batch_size
        engine = LiveEngine(model, trainer.strategy.root_device, trainer.precision_plugin.val_step_context)
        # its workers start here, in the main thread
        batches = iter(self._loader(trainer))
        model.eval()
        samples = self._readable(chain.from_iterable(batches), stops=trainer.world_size == 1)
        seen: list[UInt8[np.ndarray, "_ _ 3"]] = []

        def look(sample: Sample, predicted: PanopticMap) -> None:
            if len(seen) < 3 * self.config.validation.samples:
                seen.extend((sample.image, overlay(sample.image, sample.panoptic)))
                seen.append(overlay(sample.image, predicted, scores=True))

        wanted = self.config.validation.samples and trainer.is_global_zero
        quality = measure(Segmenter(engine, batch_size=limit), samples, look if wanted else None)
        model.train()
        if trainer.world_size == 1 and self.checkpoints.stopping:
            return False
        if len(self.missed) > MISSING * len(self.samples):
            raise DataError(next(iter(self.missed)))
        row = summary(all_reduce(quality).compute())
        self.journal.write("validation", trainer.global_step, row)
        if seen:
            titles = ("image", "truth", f"step {trainer.global_step}") * (len(seen) // 3)
            self.journal.draw("validation", trainer.global_step, contact_sheet(seen, 3, titles, width=SHOWN))
        if row["pq"] > self.best:
            try:
                self.on_best(row["pq"])
            except InputError as error:
                # a full disk: what is better than the file's weights is tried again
                self.checkpoints.warning = f"step {trainer.global_step}: {error}; training continues"
            else:
                self.best = row["pq"]
        self.waited = 0 if row["pq"] == self.best else self.waited + 1
        patience = self.config.validation.patience
        if patience and self.waited >= patience and trainer.global_step < self.config.steps:
            trainer.should_stop = True
            self.checkpoints.remark = (
                f"step {trainer.global_step}: PQ was not better than {self.best:.1f} {self.waited} times in "
                "a row (validation.patience); training ends early"
            )
        return True

    def _readable(self, samples: Iterable[Sample | PansightError], stops: bool) -> Iterator[Sample]:
        """The samples that could be read; the others are noted, as in training. None once a signal came."""
        for sample in samples:
            if stops and self.checkpoints.stopping:
                return
            if isinstance(sample, DataError | InputError):
                self.missed[str(sample)] = None
            else:
                yield sound(sample)

    def _loader(self, trainer: Trainer) -> Iterable[Sequence[Sample | PansightError]]:
        chosen = spread(len(self.samples), self.config.validation.pictures or None)
        return WatchedLoader(
            ErrorsAsItems(self.samples),
            sampler=chosen[trainer.global_rank :: trainer.world_size],
            batch_size=self.config.validation.batch_size,
            collate_fn=unchanged,
            num_workers=self.config.workers,
            worker_init_fn=start_worker,
            multiprocessing_context=worker_context(self.config.workers),
        )

    def state_dict(self) -> dict[str, Any]:
        """Its state in checkpoints."""
        return {"best": self.best, "pending": self.pending, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.best = state_dict["best"]
        self.pending = state_dict.get("pending", False)
        self.waited = state_dict.get("waited", 0)


def _named(index: int, sample: Sample | PansightError) -> str:
    return sample.file_name if isinstance(sample, Sample) else str(sample)


def sound(sample: Sample | PansightError) -> Sample:
    """The sample; raises what came in its place."""
    if isinstance(sample, PansightError):
        raise sample
    return sample
