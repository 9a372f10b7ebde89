"""The search for merge settings: one field after the other, then a threshold for each category.

Bounded against overfitting by cross-validation: what is reported as the gain is that of images which had no
part in choosing the settings they are scored with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from pansight.merging import MergeSettings
from pansight.training.tuning.scoring import Gain, Scored, gain, quality

ROUNDS = 2
"""times that every field is looked at"""
LEAST_SEGMENTS = 20
"""predicted segments that a category must have for a threshold of its own"""
WORTH = 5e-4
"""quality that another value must bring, so that chance alone moves nothing"""

GRIDS: Mapping[str, tuple[float, ...]] = {
    "object_threshold": (
        0.05,
        0.1,
        0.15,
        0.2,
        0.25,
        0.3,
        0.35,
        0.4,
        0.45,
        0.5,
        0.55,
        0.6,
        0.65,
        0.7,
        0.8,
        0.9,
    ),
    "mask_threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "max_occlusion": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "keep_share": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
}
"""values of each field that a method has; a method's own value is always among those tried"""
AREA_FACTORS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""of `stuff_area`, whose scale is the images'"""

Evaluate = Callable[[MergeSettings], Scored]
Folds = Int64[np.ndarray, " n"]


class Tuned(NamedTuple):
    """What was found."""

    settings: MergeSettings
    """chosen on all images"""
    gain: Gain
    """cross-validated: every image is scored with settings that the others chose"""
    fitted: Gain
    """on the images that chose the settings: what overfitting would report"""
    thresholds: dict[int, float]
    """by category; those that pay on images held out"""
    trials: int
    """settings that were evaluated"""


class Search:
    """Looks for settings with the greatest panoptic quality.

    Args:
        evaluate: evaluates all images under some settings; called once for each.
        start: the settings as they are.
        images: how many there are.
        folds: parts of the cross-validation.
        seed: of the parts and the bootstrap.
    """

    def __init__(
        self, evaluate: Evaluate, start: MergeSettings, images: int, *, folds: int = 5, seed: int = 0
    ) -> None:
        self._evaluate = evaluate
        # thresholds by category are found anew; with those of before none could be lowered
        self.start = start
        self.base = start.replaced({"void_below_each": ()})
        self.seed = seed
        order = np.random.default_rng(seed).permutation(images)
        self.folds: Folds = np.empty(images, dtype=np.int64)
        self.fold_count = min(folds, images)
        self.folds[order] = np.arange(images) % self.fold_count
        self._known: dict[str, Scored] = {}

    @property
    def trials(self) -> int:
        """Settings evaluated so far."""
        return len(self._known)

    def scored(self, settings: MergeSettings) -> Scored:
        """All images under some settings."""
        key = settings.model_dump_json()
        if key not in self._known:
            self._known[key] = self._evaluate(settings)
        return self._known[key]

    def run(self, tell: Callable[[str], object] = lambda line: None) -> Tuned:
        """The whole search; `tell` hears of every step."""
        before = self.scored(self.start)
        tallies, truths = before.tallies(), before.truths
        held, held_truths = np.zeros_like(tallies), np.zeros_like(truths)
        plain = np.zeros_like(tallies)
        bounds: list[dict[int, float]] = []
        for fold in range(self.fold_count):
            inside = self.folds != fold
            settings = self.fields(inside)
            scored = self.scored(settings)
            thresholds = best_thresholds(scored, inside)
            bounds.append(thresholds)
            outside = ~inside
            plain[outside] = scored.tallies()[outside]
            held[outside] = scored.tallies(_kept(scored, thresholds))[outside]
            held_truths[outside] = scored.truths[outside]
            tell(f"fold {fold + 1}: {_said(settings, self.base)}, {len(thresholds)} thresholds by category")
        paying = _paying(plain, held, held_truths, bounds)
        mixed = plain.copy()
        mixed[:, sorted(paying)] = held[:, sorted(paying)]
        everything = np.ones(len(truths), dtype=bool)
        settings = self.fields(everything)
        scored = self.scored(settings)
        thresholds = {
            category: bound
            for category, bound in best_thresholds(scored, everything).items()
            if category in paying
        }
        fitted = scored.tallies(_kept(scored, thresholds))
        if thresholds:
            each = [thresholds.get(category, 0.0) for category in range(truths.shape[1])]
            settings = settings.replaced({"void_below_each": each})
        return Tuned(
            settings,
            gain(tallies, mixed, truths, held_truths, seed=self.seed),
            gain(tallies, fitted, truths, scored.truths, seed=self.seed),
            thresholds,
            self.trials,
        )

    def fields(self, inside: np.ndarray) -> MergeSettings:
        """The best settings for some of the images, field after field from those at the start."""
        settings = self.base
        best = self._quality(settings, inside)
        for _ in range(ROUNDS):
            changed = False
            for name, values in candidates(self.base):
                for value in _outwards(values, getattr(settings, name)):
                    trial = settings.replaced({name: value})
                    worth = self._quality(trial, inside)
                    if worth > best + WORTH:
                        settings, best, changed = trial, worth, True
            if not changed:
                break
        return settings

    def _quality(self, settings: MergeSettings, inside: np.ndarray) -> float:
        scored = self.scored(settings)
        return quality(scored.tallies()[inside], scored.truths[inside])


def candidates(start: MergeSettings) -> Iterator[tuple[str, list[int] | list[float]]]:
    """Fields of the method's settings, and the values to try."""
    for name, grid in GRIDS.items():
        if name in type(start).model_fields:
            yield name, sorted({*grid, getattr(start, name)})
    if "stuff_area" in type(start).model_fields:
        area = max(int(getattr(start, "stuff_area")), 16)  # noqa: B009  (only some methods have it)
        yield "stuff_area", sorted({*(round(area * factor) for factor in AREA_FACTORS), area})


def _outwards(values: Sequence[int] | Sequence[float], present: int | float) -> list[int | float]:
    """Up to three values on either side of the present one, the nearest first."""
    below = [value for value in values if value < present][-3:][::-1]
    above = [value for value in values if value > present][:3]
    return [value for pair in zip(below, above, strict=False) for value in pair] + [
        *below[len(above) :],
        *above[len(below) :],
    ]


def best_thresholds(scored: Scored, inside: np.ndarray) -> dict[int, float]:
    """Of each category, the score below which its segments are better left void; only where that is better.

    Exact: a segment that is left out takes its own match or mistake along and touches no other, so categories
    part, and of each every bound is tried. Categories with few segments are left alone.
    """
    result: dict[int, float] = {}
    chosen = inside[scored.images]
    totals = scored.truths[inside].sum(0)
    for category in np.unique(scored.categories[chosen]).tolist():
        rows = chosen & (scored.categories == category)
        scores, ious = scored.scores[rows], scored.ious[rows]
        if len(scores) < LEAST_SEGMENTS or np.isnan(scores).any() or scores.min() == scores.max():
            continue
        order = np.argsort(-scores, kind="stable")
        scores, ious = scores[order], ious[order]
        matched, sums = np.cumsum(ious > 0), np.cumsum(ious)
        count = np.arange(1, len(scores) + 1)
        # TP + FP / 2 + FN / 2 = (predicted + true) / 2
        worth = sums / (0.5 * (count + max(int(totals[category]), int(matched[-1]))))
        ends = np.flatnonzero(np.append(np.diff(scores) < 0, True))
        best = ends[int(np.argmax(worth[ends]))]
        if best + 1 < len(scores) and worth[best] > worth[-1] + WORTH:
            result[category] = float((scores[best] + scores[best + 1]) / 2)
    return result


def _kept(scored: Scored, thresholds: Mapping[int, float]) -> np.ndarray:
    kept = np.ones(len(scored.scores), dtype=bool)
    for category, bound in thresholds.items():
        kept &= (scored.categories != category) | ~(scored.scores < bound)
    return kept


def _paying(
    plain: Float64[np.ndarray, "n c 3"],
    held: Float64[np.ndarray, "n c 3"],
    truths: Int64[np.ndarray, "n c"],
    bounds: Sequence[Mapping[int, float]],
) -> set[int]:
    """Categories whose thresholds are better on images held out, and were found in most folds."""
    paying = set()
    for category in set().union(*bounds):
        if 2 * sum(category in found for found in bounds) <= len(bounds):
            continue
        column = slice(category, category + 1)
        before, after = (quality(part[:, column], truths[:, column]) for part in (plain, held))
        if after > before:
            paying.add(category)
    return paying


def _said(settings: MergeSettings, start: MergeSettings) -> str:
    """The fields that differ."""
    now: dict[str, Any] = settings.model_dump()
    before = start.model_dump()
    return ", ".join(f"{name} {now[name]:g}" for name in now if now[name] != before[name]) or "as they were"
