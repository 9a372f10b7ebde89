"""Files scored by many workers: shares of the pairs, scored apart, merged in order. Torch is not needed."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic

from pansight.fleet.cluster import Cluster
from pansight.metrics.coco_evaluation import ScorerType, Share, score_share
from pansight.metrics.coco_pairs import Pair

_SHARE = 64
"""Images that a worker takes at a time."""


def score_pairs_on(
    cluster: Cluster, pairs: Sequence[Pair], start: Callable[[], ScorerType]
) -> Generator[Share[ScorerType], None, None]:
    """As `score_pairs`, by the workers of a cluster, who must see the files under the same paths.

    Shares come in order, each once, whichever worker died in between: the answer is that of one process.
    `start` must be picklable.
    """
    shares = (list(pairs[first : first + _SHARE]) for first in range(0, len(pairs), _SHARE))
    yield from cluster.run(_PairScorer, (start,), shares, ordered=True)


@dataclass
class _PairScorer(Generic[ScorerType]):
    start: Callable[[], ScorerType]

    def __call__(self, pairs: Sequence[Pair]) -> Share[ScorerType]:
        return score_share(self.start, pairs)
