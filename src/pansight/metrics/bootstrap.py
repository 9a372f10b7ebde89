"""How sure a panoptic quality is: confidence intervals from images drawn anew, with replacement.

Efron's percentile bootstrap over images: those scored are taken for a sample of all images of their kind, and
quality is computed for many samples drawn from them. That costs products of matrices, not an evaluation each.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.matched import MatchedImage

_CHUNK = 64
"""Samples that are drawn and counted at a time."""

_ROW = np.dtype(
    [("image", np.int32), ("category", np.int32), ("tp", np.int32), ("fp", np.int32), ("fn", np.int32),
     ("iou", np.float64)]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, fractions of 1."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """[low, high]."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class QualityIntervals:
    """Intervals of the averages of a group of classes."""

    pq: Interval
    sq: Interval
    rq: Interval

    def to_json(self) -> dict[str, list[float]]:
        """`pq`, `sq`, `rq`: [low, high]."""
        return {"pq": self.pq.to_json(), "sq": self.sq.to_json(), "rq": self.rq.to_json()}


@dataclass(frozen=True, slots=True)
class IntervalsResult:
    """Bootstrap intervals at a level of `confidence`, from `samples` samples.

    `all`, `things`, `stuff`: None where no class of the group counts. `classes`: PQ of each category by
    contiguous index, None where it does not count. A sample without any segment of a class or group says
    nothing of it.
    """

    categories: Categories
    all: QualityIntervals | None
    things: QualityIntervals | None
    stuff: QualityIntervals | None
    classes: tuple[Interval | None, ...]
    samples: int
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """`all`, `things`, `stuff`, and `classes` (of PQ) by data-set category id."""
        groups = (("all", self.all), ("things", self.things), ("stuff", self.stuff))
        ids = (str(category.dataset_id) for category in self.categories)
        return {
            **{name: (group and group.to_json()) for name, group in groups},
            "classes": {id: one and one.to_json() for id, one in zip(ids, self.classes, strict=True)},
            "samples": self.samples,
            "confidence": self.confidence,
        }


class Bootstrap:
    """Keeps the counts of every image, 28 bytes per class that occurs in it.

    `samples` are drawn with a generator seeded by `seed`. Images are put in an order that depends on nothing
    but their counts, so neither the order of updates nor merging changes anything.
    """

    def __init__(
        self, categories: Categories, samples: int = 1000, *, seed: int = 0, confidence: float = 0.95
    ) -> None:
        """Raises InputError for less than one sample, or a confidence that is not between 0 and 1."""
        if samples < 1:
            raise InputError(f"bootstrap samples must be some hundreds, got {samples}")
        if not 0 < confidence < 1:
            raise InputError(f"confidence {confidence:g} is not between 0 and 1; 0.95 is usual")
        self.categories = categories
        self.samples = samples
        self.seed = seed
        self.confidence = confidence
        self.images = 0
        self._rows: list[np.ndarray] = []
        self._digests: list[int] = []

    def add(self, image: MatchedImage) -> None:
        """Keep the counts of one image."""
        tally = image.tally(len(self.categories))
        present = np.flatnonzero(tally.tp + tally.fp + tally.fn)
        rows = np.zeros(len(present), dtype=_ROW)
        rows["category"] = present
        for name in ("tp", "fp", "fn", "iou"):
            rows[name] = getattr(tally, name)[present]
        self._digests.append(int.from_bytes(hashlib.blake2b(rows.tobytes(), digest_size=8).digest(), "big"))
        rows["image"] = self.images
        self.images += 1
        self._keep([rows])

    def merge(self, other: "Bootstrap") -> None:
        """Add what another has seen."""
        moved = [rows.copy() for rows in other._rows]
        for rows in moved:
            rows["image"] += self.images
        self.images += other.images
        self._digests += other._digests
        self._keep(moved)

    def compute(self) -> IntervalsResult:
        """Draw the samples and find the intervals."""
        counts = self._sampled_counts()
        size = counts[0] + 0.5 * (counts[1] + counts[2])
        counted = size > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            pq = np.where(counted, counts[3] / size, np.nan)
            sq = np.where(counted, np.where(counts[0] > 0, counts[3] / counts[0], 0.0), np.nan)
            rq = np.where(counted, counts[0] / size, np.nan)
        is_thing = self.categories.is_thing
        everything = np.ones(len(is_thing), dtype=np.bool_)
        whole, things, stuff = (
            self._group(pq, sq, rq, members) for members in (everything, is_thing, ~is_thing)
        )
        classes = tuple(self._interval(one) for one in pq.T)
        return IntervalsResult(self.categories, whole, things, stuff, classes, self.samples, self.confidence)

    def _keep(self, rows: list[np.ndarray]) -> None:
        self._rows += rows
        if len(self._rows) >= 256:
            self._rows = [np.concatenate(self._rows)]

    def _sampled_counts(self) -> Float64[np.ndarray, "4 samples n"]:
        """tp, fp, fn and the sum of IoUs of each class in each sample."""
        from scipy.sparse import csr_array

        rows = np.concatenate([np.zeros(0, dtype=_ROW), *self._rows])
        place = np.empty(self.images, dtype=np.int64)
        place[np.argsort(np.array(self._digests, dtype=np.uint64), kind="stable")] = np.arange(self.images)
        images, n = place[rows["image"]], len(self.categories)
        tables = [
            csr_array((rows[name].astype(np.float64), (images, rows["category"])), shape=(self.images, n))
            for name in ("tp", "fp", "fn", "iou")
        ]
        rng = np.random.default_rng(self.seed)
        sums = np.zeros((4, self.samples, n))
        for first in range(0, self.samples if self.images else 0, _CHUNK):
            number = min(_CHUNK, self.samples - first)
            drawn = rng.integers(self.images, size=(number, self.images))
            drawn += np.arange(number)[:, None] * self.images
            weights = np.bincount(drawn.ravel(), minlength=number * self.images)
            weights = weights.reshape(number, self.images).astype(np.float64)
            for kind, table in enumerate(tables):
                sums[kind, first : first + number] = weights @ table
        return sums

    def _group(
        self,
        pq: Float64[np.ndarray, "samples n"],
        sq: Float64[np.ndarray, "samples n"],
        rq: Float64[np.ndarray, "samples n"],
        members: Bool[np.ndarray, "n"],
    ) -> QualityIntervals | None:
        intervals = []
        for values in (pq[:, members], sq[:, members], rq[:, members]):
            known = ~np.isnan(values)
            said = known.any(axis=1)
            means = np.where(known, values, 0.0)[said].sum(axis=1) / known[said].sum(axis=1)
            interval = self._interval(means)
            if interval is None:
                return None
            intervals.append(interval)
        return QualityIntervals(*intervals)

    def _interval(self, values: Float64[np.ndarray, "samples"]) -> Interval | None:
        known = values[~np.isnan(values)]
        if not known.size:
            return None
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(known, (tail, 1 - tail)).tolist()
        return Interval(low, high)
