"""What settings are worth: the matched segments of every image, and the panoptic quality of any subset."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pansight.categories import Categories
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap


class Scored(NamedTuple):
    """Predicted segments that count, of all images, and how many true ones each image has.

    Excused segments are left out: they count nowhere, whatever becomes of them.
    """

    images: Int64[np.ndarray, " s"]
    categories: Int64[np.ndarray, " s"]
    scores: Float64[np.ndarray, " s"]
    ious: Float64[np.ndarray, " s"]
    """0: matches nothing"""
    truths: Int64[np.ndarray, "n c"]
    """matched and missed segments, by image and category"""

    def tallies(self, kept: Bool[np.ndarray, " s"] | None = None) -> Float64[np.ndarray, "n c 3"]:
        """By image and category: matched, false, and the sum of IoUs, of the segments that are kept."""
        result = np.zeros((*self.truths.shape, 3))
        chosen = slice(None) if kept is None else kept
        place: Any = (self.images[chosen], self.categories[chosen])
        ious = self.ious[chosen]
        np.add.at(result, (*place, 0), ious > 0)
        np.add.at(result, (*place, 1), ious == 0)
        np.add.at(result, (*place, 2), ious)
        return result


def score(maps: list[PanopticMap], truths: list[PanopticMap], categories: Categories) -> Scored:
    """Match the segments of each image, by the rules of `PanopticQuality`."""
    columns: list[tuple[list[int], list[int], list[float], list[float]]] = []
    counted = np.zeros((len(maps), len(categories)), dtype=np.int64)
    for number, (prediction, truth) in enumerate(zip(maps, truths, strict=True)):
        image = match_maps(prediction, truth, categories, f"image {number}", False, Remarks())
        matches = image.matches
        np.add.at(counted[number], image.found_classes, 1)
        np.add.at(counted[number], image.missed_classes, 1)
        rows = np.concatenate([matches.prediction_rows, image.false_rows])
        ious = np.concatenate([matches.ious, np.zeros(len(image.false_rows))])
        columns.append(
            (
                [number] * len(rows),
                image.prediction.categories[rows].tolist(),
                image.scores[rows].tolist(),
                ious.tolist(),
            )
        )
    images, kinds, scores, overlaps = (
        np.concatenate([np.asarray(column[place]) for column in columns]) for place in range(4)
    )
    return Scored(
        images.astype(np.int64), kinds.astype(np.int64), scores.astype(float), overlaps.astype(float), counted
    )


def quality(
    tallies: Float64[np.ndarray, "n c 3"], truths: Int64[np.ndarray, "n c"], weights: np.ndarray | None = None
) -> float:
    """Panoptic quality (Kirillov et al., Eq. 1), the mean over categories that have a segment; 0..1.

    `weights`: how often each image counts; None: once.
    """
    if weights is None:
        weights = np.ones(len(truths))
    matched, false, ious = np.tensordot(weights, tallies, 1).T
    missed = weights @ truths - matched
    sizes = matched + 0.5 * (false + missed)
    there = sizes > 0
    return float((ious[there] / sizes[there]).mean()) if there.any() else 0.0


class Gain(NamedTuple):
    """Panoptic quality before and after, 0..1, and an interval of the difference."""

    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """What was gained."""
        return self.after - self.before


def gain(
    before: Float64[np.ndarray, "n c 3"],
    after: Float64[np.ndarray, "n c 3"],
    truths_before: Int64[np.ndarray, "n c"],
    truths_after: Int64[np.ndarray, "n c"],
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Gain:
    """The gain on the same images, with a percentile bootstrap over them, both drawn alike.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), Sec. 13.3.
    """
    generator = np.random.default_rng(seed)
    count = len(before)
    differences = np.empty(samples)
    for sample in range(samples):
        weights = np.bincount(generator.integers(count, size=count), minlength=count)
        differences[sample] = quality(after, truths_after, weights) - quality(before, truths_before, weights)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Gain(quality(before, truths_before), quality(after, truths_after), float(low), float(high))
