"""A model on a data set: segmented and scored sample by sample, nothing written anywhere."""

import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from pansight.data.opening import PanopticDataset
from pansight.data.sample import Sample
from pansight.errors import InputError, PansightError
from pansight.metrics.evaluation import Evaluation
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.pipeline import read_ahead
from pansight.runtime.translation import Translation


@runtime_checkable
class Segmenting(Protocol):
    """What makes maps of pictures: a `Segmenter`, or whatever else does."""

    @property
    def batch_size(self) -> int:
        """Most pictures at once."""

    def batch(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[PanopticMap]:
        """One map each; raises InputError where a picture is of no use."""


@runtime_checkable
class SegmentingInstances(Segmenting, Protocol):
    """What also has the instances that may overlap, at the price of one run of the network."""

    @property
    def has_instances(self) -> bool:
        """Whether its model finds instances."""

    def batch_with_instances(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    ) -> list[tuple[PanopticMap, Instances]]:
        """A map and the instances of each; raises InputError where a picture is of no use."""


Answer: TypeAlias = tuple[PanopticMap, Instances | None]


@dataclass
class Seconds:
    """Time spent: by the clock in the model (network, merge, map), by a processor reading and scoring."""

    read: float = 0.0
    segment: float = 0.0
    score: float = 0.0


@dataclass(frozen=True)
class Scored:
    """What became of a sample: scored, or `problem`, one line that names it."""

    index: int
    problem: str | None = None


@dataclass(frozen=True)
class _Item:
    index: int
    sample: Sample | None = None
    answer: Answer | None = None
    problem: str | None = None


@dataclass
class ModelEvaluation:
    """Runs `segmenter` on samples of `dataset` and scores them into `evaluation`, of the same categories.

    `translation` brings the model's maps to those. Samples are read ahead of the network, scored behind it.

    Raises InputError where `evaluation` takes instances and `segmenter` has none.
    """

    segmenter: Segmenting
    dataset: PanopticDataset
    translation: Translation
    evaluation: Evaluation
    seconds: Seconds = field(default_factory=Seconds)

    def __post_init__(self) -> None:
        able = isinstance(self.segmenter, SegmentingInstances) and self.segmenter.has_instances
        if self.evaluation.takes_instances and not able:
            raise InputError("the evaluation takes instances, and the model gives none; see Evaluation")

    def run(self, indices: Sequence[int]) -> Generator[Scored, None, None]:
        """Score these samples; outcomes come in order, as soon as they are known.

        A sample that cannot be read or segmented is an outcome like any other. Whoever stops iterating has
        in `evaluation` all that was yielded, and perhaps a few samples more.
        """
        readers = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        scorer = ThreadPoolExecutor(1)
        try:
            items = read_ahead(readers, self._read, indices, self.segmenter.batch_size + 1)
            pending: deque[Future[Scored]] = deque()
            for item in self._segmented(items):
                pending.append(scorer.submit(self._score, item))
                while pending and (pending[0].done() or len(pending) > 2):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            scorer.shutdown(cancel_futures=True)

    def views(self, index: int) -> tuple[Sample, PanopticMap]:
        """A sample and the model's map of it, made anew, in the data's categories."""
        sample = self.dataset[index]
        return sample, self.translation(self.segmenter.batch([sample.image])[0])

    def _read(self, index: int) -> _Item:
        started = time.thread_time()
        try:
            return _Item(index, self.dataset[index])
        except PansightError as error:
            return _Item(index, problem=str(error))
        finally:
            self.seconds.read += time.thread_time() - started

    def _segmented(self, items: Iterable[_Item]) -> Iterator[_Item]:
        waiting: list[_Item] = []
        for item in items:
            waiting.append(item)
            if sum(one.sample is not None for one in waiting) == self.segmenter.batch_size:
                yield from self._batch(waiting)
                waiting = []
        yield from self._batch(waiting)

    def _batch(self, items: list[_Item]) -> Iterator[_Item]:
        samples = [item.sample for item in items if item.sample is not None]
        started = time.perf_counter()
        try:
            answers: list[Answer | None] = list(self._answers([one.image for one in samples]))
        except InputError:
            answers = [None] * len(samples)  # who of them was it?
        self.seconds.segment += time.perf_counter() - started
        found = iter(answers)
        for item in items:
            yield item if item.sample is None else self._with_answer(item, item.sample, next(found))

    def _with_answer(self, item: _Item, sample: Sample, answer: Answer | None) -> _Item:
        if answer is None:
            try:
                answer = self._answers([sample.image])[0]
            except InputError as error:
                return _Item(item.index, problem=f"{sample.file_name}: {error}")
        return _Item(item.index, sample, answer)

    def _answers(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Sequence[Answer]:
        if self.evaluation.takes_instances and isinstance(self.segmenter, SegmentingInstances):
            return self.segmenter.batch_with_instances(images)
        return [(panoptic, None) for panoptic in self.segmenter.batch(images)]

    def _score(self, item: _Item) -> Scored:
        started = time.thread_time()
        if item.sample is not None and item.answer is not None:
            panoptic, instances = item.answer
            self.evaluation.update(
                self.translation(panoptic),
                item.sample.panoptic,
                self.dataset.names[item.index],
                None if instances is None else self.translation.instances(instances),
            )
        self.seconds.score += time.thread_time() - started
        return Scored(item.index, item.problem)


def spread(total: int, limit: int | None) -> list[int]:
    """Positions of the samples to score: all, or `limit` of them, evenly over the whole.

    The first ones alone would say little: files of one place or one clip lie together.
    """
    if limit is None or limit >= total:
        return list(range(total))
    return np.linspace(0, total - 1, limit).round().astype(int).tolist()
