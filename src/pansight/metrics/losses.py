"""Where panoptic quality was lost, and to what.

The PQ of a class is sum(IoU) / S with S = tp + fp / 2 + fn / 2, hence

    1 - PQ = [ sum(1 - IoU) + fp / 2 + fn / 2 ] / S.

Every term belongs to one segment or matched pair of the class, so the loss is a sum over them; the loss of an
average over classes is the average of their losses. Each term goes to one cause (`CAUSES`):

A *fragment* of a true segment is a predicted segment of its class that has more than half of its pixels (not
counting void) in it. A predicted segment *swallows* a true one of its class when it covers more than half of
it. Crowds and segments of unknown category are neither.

A missed true segment, or a false predicted one, is put down to the first of these that applies:

1. `wrong_class`: it overlaps a segment of another class with an IoU above 0.5.
2. `merged`: (missed) it is swallowed by a prediction that swallows several; (false) it swallows several.
3. `split`: (missed) it has several fragments; (false) it is one of several fragments of a true segment.
4. `ragged`: it overlaps a segment of its own class with an IoU above 0.1: found, but badly outlined.
5. `missed` or `false`: nothing above applies.

The loss 1 - IoU of a matched pair is divided by its wrong pixels. Those of the prediction in other true
segments that it swallows are `merged`; those of the true segment in other fragments of it are `split`; all
others are `ragged`.

The IoU of 0.1 that separates a bad outline from a chance touch is that of TIDE (Bolya et al., ECCV 2020).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pansight.categories import Categories
from pansight.metrics.counts import Counts
from pansight.metrics.matched import MatchedImage, find_pairs

CAUSES = ("missed", "false", "wrong_class", "merged", "split", "ragged")
"""The names of the fields of `Losses`, in order."""

_MISSED, _FALSE, _WRONG_CLASS, _MERGED, _SPLIT, _RAGGED = range(len(CAUSES))

_TOUCH = 0.1

_UNIT = 2.0**-40
"""Shares of a pair's loss are kept as whole multiples of this, so that sums do not depend on their order."""


@dataclass(frozen=True, slots=True)
class Losses:
    """PQ points (0..100) lost to each cause; with 100 PQ they add up to 100."""

    missed: float = 0.0
    false: float = 0.0
    wrong_class: float = 0.0
    merged: float = 0.0
    split: float = 0.0
    ragged: float = 0.0

    @property
    def total(self) -> float:
        """All points lost: 100 - 100 PQ."""
        return sum(self.to_json().values())

    def to_json(self) -> dict[str, float]:
        """Points by cause."""
        return {cause: getattr(self, cause) for cause in CAUSES}


@dataclass(frozen=True, slots=True)
class LossesResult:
    """PQ points lost by cause: averaged over all, thing and stuff classes, and for each class by index.

    None where no class of a group counts, or the class does not.
    """

    categories: Categories
    all: Losses | None
    things: Losses | None
    stuff: Losses | None
    classes: tuple[Losses | None, ...]

    def to_json(self) -> dict[str, Any]:
        """`all`, `things`, `stuff`, and `classes` by data-set category id."""
        ids = (str(category.dataset_id) for category in self.categories)
        return {
            **{name: (group and group.to_json()) for name, group in self._groups()},
            "classes": {
                id: losses and losses.to_json() for id, losses in zip(ids, self.classes, strict=True)
            },
        }

    def _groups(self) -> tuple[tuple[str, Losses | None], ...]:
        return ("all", self.all), ("things", self.things), ("stuff", self.stuff)


class Causes(NamedTuple):
    """Why each term of one image's loss was lost.

    `missed`, `false`: a position in `CAUSES` for each of `MatchedImage.missed_rows` and `false_rows`; each is
    worth half a segment. `merged`, `split`: those parts of 1 - IoU of each matched pair; the rest is ragged.
    """

    missed: Int64[np.ndarray, "missed"]
    false: Int64[np.ndarray, "false"]
    merged: Float64[np.ndarray, "pairs"]
    split: Float64[np.ndarray, "pairs"]


def find_causes(image: MatchedImage) -> Causes:
    """Put every term of the loss of one image down to its cause."""
    n, m = len(image.truth.ids), len(image.prediction.ids)
    t, p = image.truth_rows, image.prediction_rows
    # Intersections of segments that can be matched or missed.
    real = (t >= 0) & (p >= 0)
    real[real] = ~image.truth.crowd[t[real]] & (image.truth.categories[t[real]] >= 0)
    t, p, pixels = t[real], p[real], image.overlaps.pixels[real]
    alike = image.truth.categories[t] == image.prediction.categories[p]
    with np.errstate(divide="ignore"):  # exact mode may list void as a segment: no union is left of it
        iou = pixels / (image.evaluated_areas[p] + image.truth_areas[t] - pixels)

    wrong = ~alike & (iou > 0.5)
    touching = alike & (iou > _TOUCH)
    swallowed = alike & (2 * pixels > image.truth_areas[t])
    fragment = alike & (2 * pixels > image.evaluated_areas[p])
    merges = np.bincount(p[swallowed], minlength=m) > 1
    is_split = np.bincount(t[fragment], minlength=n) > 1
    swallowed &= merges[p]
    fragment &= is_split[t]

    missed = np.full(n, _MISSED, dtype=np.int64)
    false = np.full(m, _FALSE, dtype=np.int64)
    # The rule that comes first is written last.
    for cause, members in (
        (_RAGGED, touching),
        (_SPLIT, fragment),
        (_MERGED, swallowed),
        (_WRONG_CLASS, wrong),
    ):
        missed[t[members]] = cause
        false[p[members]] = cause
    merged, split = _parts_of_pairs(image, t, p, pixels, swallowed, fragment)
    return Causes(missed[image.missed_rows], false[image.false_rows], merged, split)


def _parts_of_pairs(
    image: MatchedImage,
    t: Int64[np.ndarray, "k"],
    p: Int64[np.ndarray, "k"],
    pixels: Int64[np.ndarray, "k"],
    swallowed: Bool[np.ndarray, "k"],
    fragment: Bool[np.ndarray, "k"],
) -> tuple[Float64[np.ndarray, "pairs"], Float64[np.ndarray, "pairs"]]:
    """The merged and the split part of 1 - IoU of each matched pair, from the intersections of segments."""
    n, m = len(image.truth.ids), len(image.prediction.ids)
    position = find_pairs(image, t, p)
    union = pixels[position] / image.matches.ious
    other = np.ones(len(pixels), dtype=np.bool_)
    other[position] = False
    others = swallowed & other
    merged = np.bincount(p[others], weights=pixels[others], minlength=m)
    others = fragment & other
    split = np.bincount(t[others], weights=pixels[others], minlength=n)
    return merged[image.matches.prediction_rows] / union, split[image.matches.truth_rows] / union


class LossTable:
    """Accumulates the loss by class and cause; additive and exact."""

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        shape = (len(categories), len(CAUSES))
        self._halves: Int64[np.ndarray, "n causes"] = np.zeros(shape, dtype=np.int64)
        self._parts: Int64[np.ndarray, "n causes"] = np.zeros(shape, dtype=np.int64)

    def add(self, image: MatchedImage, causes: Causes) -> None:
        """Count the losses of one image."""
        np.add.at(self._halves, (image.missed_classes, causes.missed), 1)
        np.add.at(self._halves, (image.false_classes, causes.false), 1)
        for cause, parts in ((_MERGED, causes.merged), (_SPLIT, causes.split)):
            np.add.at(self._parts[:, cause], image.found_classes, np.rint(parts / _UNIT).astype(np.int64))

    def merge(self, other: "LossTable") -> None:
        """Add what another has counted."""
        self._halves += other._halves
        self._parts += other._parts

    def compute(self, counts: Counts) -> LossesResult:
        """Points lost by cause; `counts` are those of the same images."""
        lost = 0.5 * self._halves + _UNIT * self._parts
        lost[:, _RAGGED] += counts.tp - np.array(counts.ious) - _UNIT * self._parts.sum(axis=1)
        size = counts.tp + 0.5 * (counts.fp + counts.fn)
        counted = size > 0
        points = 100.0 * lost / np.where(counted, size, 1.0)[:, None]
        is_thing = self.categories.is_thing
        return LossesResult(
            self.categories,
            all=_mean(points, counted),
            things=_mean(points, counted & is_thing),
            stuff=_mean(points, counted & ~is_thing),
            classes=tuple(
                Losses(*row) if counts else None
                for row, counts in zip(points.tolist(), counted.tolist(), strict=True)
            ),
        )


def _mean(points: Float64[np.ndarray, "n causes"], chosen: Bool[np.ndarray, "n"]) -> Losses | None:
    return Losses(*points[chosen].mean(axis=0).tolist()) if chosen.any() else None
