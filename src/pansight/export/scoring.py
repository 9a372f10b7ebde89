"""Panoptic quality of an engine on a data set, for a model before and after it was changed."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

from pansight.data.opening import open_dataset
from pansight.data.sample import Sample
from pansight.errors import DataError
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.remarks import EvaluationWarning
from pansight.runtime.engines.protocol import Engine
from pansight.runtime.evaluating import spread
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.translation import translate


class Score(NamedTuple):
    """PQ in per cent, and the number of samples it is over."""

    pq: float
    samples: int


def samples_of(location: str, limit: int) -> list[Sample]:
    """At most `limit` samples, spread evenly over the data set (`scenes` makes unseen ones)."""
    dataset = open_dataset(location)
    return [dataset[place] for place in spread(len(dataset), limit)]


def score(engine: Engine, location: str, limit: int) -> Score:
    """PQ of the engine's maps. Raises DataError where nothing can be scored."""
    return score_samples(engine, samples_of(location, limit))


def score_samples(engine: Engine, samples: Iterable[Sample]) -> Score:
    """As `score`, of samples at hand."""
    segmenter = Segmenter(engine)
    quality: PanopticQuality | None = None
    count = 0
    for sample in samples:
        if quality is None:
            translation = translate(segmenter.categories, sample.panoptic.categories)
            quality = PanopticQuality(sample.panoptic.categories)
        quality.update(translation(segmenter(sample.image)), sample.panoptic, sample.file_name)
        count += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)  # of groups that a few samples lack
        result = None if quality is None else quality.compute().all
    if result is None:
        raise DataError("not one sample could be scored; give data with the model's categories")
    return Score(100 * result.pq, count)
