"""A model on a data set, by many workers: shares are segmented and scored apart, and merged in order."""

import pickle
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pansight.data.opening import PanopticDataset
from pansight.fleet.cluster import Cluster
from pansight.fleet.model import FleetModel
from pansight.metrics.evaluation import Evaluation
from pansight.runtime.evaluating import ModelEvaluation, Scored, Seconds
from pansight.runtime.translation import Translation

_SHARE = 64
"""Images that a worker takes at a time."""


@dataclass
class FleetEvaluation(ModelEvaluation):
    """A `ModelEvaluation` whose samples are segmented and scored by the workers of a cluster.

    The driver's `segmenter` only makes the images of the report. Workers must see the data set's files under
    the same paths.
    """

    cluster: Cluster | None = None
    model: FleetModel | None = None

    def run(self, indices: Sequence[int]) -> Generator[Scored, None, None]:
        """Score these samples; outcomes come in order, each once."""
        assert self.cluster is not None and self.model is not None
        model = self.model
        if not self.cluster.own and model.files():
            model = model.sent(self.cluster.share(model.files()))
        task = _Task(
            model,
            self.cluster.device,
            self.cluster.cores,
            self.dataset,
            self.translation,
            pickle.dumps(self.evaluation),
        )
        size = max(1, min(_SHARE, len(indices) // (4 * self.cluster.workers)))
        shares = (list(indices[first : first + size]) for first in range(0, len(indices), size))
        for evaluation, outcomes, seconds in self.cluster.run(
            _model_scorer, (self.cluster.share(task),), shares, ordered=True
        ):
            self.evaluation.merge(evaluation)
            self.seconds.read += seconds.read
            self.seconds.segment += seconds.segment
            self.seconds.score += seconds.score
            yield from outcomes


@dataclass(frozen=True)
class _Task:
    """What a worker needs; `evaluation`: an empty one, pickled, for each share to fill its own."""

    model: FleetModel
    device: str
    cores: int
    dataset: PanopticDataset
    translation: Translation
    evaluation: bytes


def _model_scorer(task: Callable[[], _Task]) -> Callable[[Sequence[int]], Any]:
    """What each worker makes of the task, once."""
    given = task()
    return partial(_score_samples, given, given.model.load(given.device, given.cores))


def _score_samples(
    task: _Task, segmenter: Any, indices: Sequence[int]
) -> tuple[Evaluation, list[Scored], Seconds]:
    job = ModelEvaluation(segmenter, task.dataset, task.translation, pickle.loads(task.evaluation))
    outcomes = list(job.run(indices))
    return job.evaluation, outcomes, job.seconds
