"""A model on a data set: segmented and scored sample by sample, nothing written anywhere."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from pansight.data.opening import PanopticDataset
from pansight.data.sample import Sample
from pansight.errors import InputError
from pansight.metrics.evaluation import Evaluation
from pansight.panoptic import PanopticMap
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.stream import Segmented
from pansight.runtime.translation import Translation


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


@dataclass
class ModelEvaluation:
    """Runs `segmenter` on samples of `dataset` and scores them into `evaluation`, of the same categories.

    `translation` brings the model's maps to those. Samples are read ahead of the network, scored behind it.

    Raises InputError where `evaluation` takes instances and `segmenter` has none.
    """

    segmenter: Segmenter
    dataset: PanopticDataset
    translation: Translation
    evaluation: Evaluation
    seconds: Seconds = field(default_factory=Seconds)

    def __post_init__(self) -> None:
        if self.evaluation.takes_instances and not self.segmenter.has_instances:
            raise InputError("the evaluation takes instances, and the model gives none; see Evaluation")

    def run(self, indices: Sequence[int]) -> Generator[Scored, None, None]:
        """Score these samples; outcomes come in order, as soon as they are known.

        A sample that cannot be read or segmented is an outcome like any other. Whoever stops iterating has
        in `evaluation` all that was yielded, and perhaps a few samples more. Damaged weights and a device
        without memory end it with a CheckpointError or DeviceError.
        """
        results = self.segmenter.stream(
            indices,
            read=self.dataset.__getitem__,
            follow=self._score,
            name=lambda _, index: str(self.dataset.names[index]),
            instances=self.evaluation.takes_instances,
        )
        with closing(results):
            for result in results:
                # added up here alone: of several threads that add, one now and then loses
                self.seconds.read += result.seconds.read
                self.seconds.segment += result.seconds.segment
                self.seconds.score += result.seconds.follow
                yield Scored(result.frame, result.problem)

    def views(self, index: int) -> tuple[Sample, PanopticMap]:
        """A sample and the model's map of it, made anew, in the data's categories."""
        sample = self.dataset[index]
        return sample, self.translation(self.segmenter.batch([sample.image])[0])

    def _score(self, result: Segmented[int]) -> None:
        if result.panoptic is None:
            return
        self.evaluation.update(
            self.translation(result.panoptic),
            result.content.panoptic,
            self.dataset.names[result.frame],
            None if result.instances is None else self.translation.instances(result.instances),
        )


def spread(total: int, limit: int | None) -> list[int]:
    """Positions of the samples to score: all, or `limit` of them, evenly over the whole.

    The first ones alone would say little: files of one place or one clip lie together.
    """
    if limit is None or limit >= total:
        return list(range(total))
    return np.linspace(0, total - 1, limit).round().astype(int).tolist()
