"""COCO mask AP of things: of panoptic maps, from the overlap table, or of instances that may overlap.

The rules are those of the official evaluation (pycocotools, `COCOeval` with `iouType="segm"`): thresholds
0.50:0.05:0.95 of IoU, at most 100 detections of a class an image, 101 recall points, crowds excuse. Segments
of one map do not overlap, so no two of them compete for a partner at an IoU above 0.5; at 0.5 exactly, two
may be the halves of one, and the rules of precedence apply. So matching loops over nothing. Instances that
overlap are matched one after the other, see `instance_matching`.

Areas are counted in the maps. Void neither counts in the union nor excuses a prediction: masks have none.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

from pansight.categories import Categories
from pansight.metrics.instance_matching import match_instances, shared_pixels
from pansight.metrics.matched import MatchedImage
from pansight.panoptic.instances import Instances

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_REACHED_AT = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
_RECALLS = np.linspace(0.0, 1.0, 101)

_LIMIT = 100
"""Detections of a class in one image that count."""

_RANGES = np.array([[0.0, 1e10], [0.0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]])
"""All, small, medium, large; both ends belong to each, as in COCO."""

_DETECTION = np.dtype(
    [
        ("score", np.float64),
        ("category", np.int32),
        # by range of areas; bit t: at threshold t
        ("found", np.uint16, len(_RANGES)),  # an object that counts
        ("ignored", np.uint16, len(_RANGES)),  # found none, but is not wrong either
    ]
)

Source = Literal["segments", "instances"]
"""What was scored: the segments of panoptic maps, or instances that may overlap."""


@dataclass(frozen=True, slots=True)
class AveragePrecisionResult:
    """COCO's mask AP, fractions of 1; None where no true object is there to be found.

    `ap` averages over thresholds and classes, `ap50` and `ap75` over classes at one threshold; `small`,
    `medium` and `large` are `ap` of objects of that area. `classes`: `ap` of each category by index.
    `source`: what was scored.
    """

    categories: Categories
    ap: float | None
    ap50: float | None
    ap75: float | None
    small: float | None
    medium: float | None
    large: float | None
    classes: tuple[float | None, ...]
    source: Source = "segments"

    def to_json(self) -> dict[str, Any]:
        """The six numbers, `source`, and `classes` by data-set category id (things only)."""
        names = ("ap", "ap50", "ap75", "small", "medium", "large")
        return {
            **{name: getattr(self, name) for name in names},
            "source": self.source,
            "classes": {
                str(category.dataset_id): ap
                for category, ap in zip(self.categories, self.classes, strict=True)
                if category.is_thing
            },
        }


class AveragePrecision:
    """Keeps 28 bytes a predicted object and the number of true ones; merges are exact.

    Among objects of equal score the image seen first comes first, as in COCO. `source` says which of `add`
    and `add_instances` is going to be called; they are not to be mixed.
    """

    def __init__(self, categories: Categories, source: Source = "segments") -> None:
        self.categories = categories
        self.source: Source = source
        self._detections: list[np.ndarray] = []
        self._truths: Int64[np.ndarray, "4 n"] = np.zeros((len(_RANGES), len(categories)), dtype=np.int64)
        self.unscored = 0
        self._example = ""

    @property
    def remark(self) -> str:
        """Why there is no result, in a line; "" where there is one."""
        if not self.unscored:
            return ""
        many = f"{self.unscored:,} predicted things have" if self.unscored > 1 else "1 predicted thing has"
        return f"left out: {many} no score ({self._example}); write a score with each"

    def add(self, image: MatchedImage) -> None:
        """Count the objects of one image; nothing of it where a predicted thing has no score."""
        lacking = self._things(image.prediction.categories) & np.isnan(image.scores)
        if lacking.any():
            self.unscored += int(lacking.sum())
            self._example = (
                self._example or f"segment {image.prediction.ids[lacking][0]} of {image.name or 'an image'}"
            )
            return
        truth, prediction = image.truth, image.prediction
        self._count_truths(image)
        t, p = image.truth_rows, image.prediction_rows
        alike = (t >= 0) & (p >= 0)
        alike[alike] = truth.categories[t[alike]] == prediction.categories[p[alike]]
        t, p, pixels = t[alike], p[alike], image.overlaps.pixels[alike]
        in_crowd = truth.crowd[t]
        crowd_share = np.zeros(len(prediction.ids))
        np.maximum.at(crowd_share, p[in_crowd], (pixels / image.prediction_areas[p])[in_crowd])

        t, p, pixels = t[~in_crowd], p[~in_crowd], pixels[~in_crowd]
        iou = pixels / (image.prediction_areas[p] + image.truth_areas[t] - pixels)
        rank = np.empty(len(prediction.ids), dtype=np.int64)
        rank[np.argsort(-image.scores, kind="stable")] = np.arange(len(rank))
        # Of two halves the better detection takes the object, and a detection the object listed last.
        order = np.lexsort((-t, rank[p]))
        order = order[iou[order] >= _REACHED_AT[0]]
        order = order[_first_of_each(t[order])]
        order = order[_first_of_each(p[order])]
        partner_iou = np.zeros(len(prediction.ids))
        partner_iou[p[order]] = iou[order]
        partner_counts = np.zeros((len(prediction.ids), len(_RANGES)), dtype=np.bool_)
        partner_counts[p[order]] = _in_ranges(image.truth_areas)[t[order]]

        chosen = self._best_of_each_class(prediction.categories, rank)
        partnered = (partner_iou[chosen, None] >= _REACHED_AT)[:, None]
        excused = partnered | (crowd_share[chosen, None] >= _REACHED_AT)[:, None]
        self._keep(
            image.scores[chosen],
            prediction.categories[chosen],
            partnered & partner_counts[chosen, :, None],
            excused | ~_in_ranges(image.prediction_areas)[chosen, :, None],
        )

    def add_instances(self, image: MatchedImage, instances: Instances) -> None:
        """Count the true objects of one image, and the instances found in it.

        Masks have the size of the image and `boxes` are theirs; instances of stuff count nowhere.
        """
        self._count_truths(image)
        truth, areas = image.truth, image.truth_areas
        shared, sizes = shared_pixels(image, instances)
        counts, own = _in_ranges(areas), _in_ranges(sizes)
        rank = np.empty(len(instances), dtype=np.int64)
        rank[np.argsort(-instances.scores, kind="stable")] = np.arange(len(rank))
        chosen = self._best_of_each_class(instances.categories, rank)
        for category in np.unique(instances.categories[chosen]).tolist():
            mine = chosen[instances.categories[chosen] == category]
            theirs = np.flatnonzero((truth.categories == category) & (areas > 0))
            crowd, pixels = truth.crowd[theirs], shared[np.ix_(mine, theirs)]
            unions = sizes[mine, None] + np.where(crowd, 0, areas[theirs] - pixels)
            found, excused = match_instances(
                # an empty mask in a crowd has no union
                pixels / np.maximum(unions, 1),
                crowd,
                (crowd[:, None] | ~counts[theirs]).T,
                _REACHED_AT,
            )
            self._keep(
                instances.scores[mine].astype(np.float64),
                instances.categories[mine],
                found,
                excused | ~own[mine, :, None],
            )

    def _count_truths(self, image: MatchedImage) -> None:
        truth = image.truth
        real = self._things(truth.categories) & ~truth.crowd & (image.truth_areas > 0)
        counts = _in_ranges(image.truth_areas)
        for index in range(len(_RANGES)):
            np.add.at(self._truths[index], truth.categories[real & counts[:, index]], 1)

    def _keep(
        self,
        scores: Float64[np.ndarray, "d"],
        categories: Int64[np.ndarray, "d"],
        found: Bool[np.ndarray, "d r t"],
        excused: Bool[np.ndarray, "d r t"],
    ) -> None:
        rows = np.empty(len(scores), dtype=_DETECTION)
        rows["score"], rows["category"] = scores, categories
        rows["found"], rows["ignored"] = _packed(found), _packed(excused & ~found)
        if len(rows):
            self._detections.append(rows)
            if len(self._detections) >= 256:
                self._detections = [np.concatenate(self._detections)]

    def merge(self, other: "AveragePrecision") -> None:
        """Add what another has seen; its images come after those seen so far."""
        self.unscored += other.unscored
        self._example = self._example or other._example
        self._truths += other._truths
        self._detections += other._detections

    def compute(self) -> AveragePrecisionResult | None:
        """AP of all objects so far; None, and `remark` says why, where a predicted thing had no score."""
        if self.unscored:
            return None
        rows = np.concatenate([np.zeros(0, dtype=_DETECTION), *self._detections])
        rows = rows[np.lexsort((-rows["score"], rows["category"]))]
        ends = np.searchsorted(rows["category"], np.arange(len(self.categories) + 1))
        table = np.full((len(self.categories), len(_RANGES), len(IOU_THRESHOLDS)), np.nan)
        for category in self.categories.thing_indices.tolist():
            mine = rows[ends[category] : ends[category + 1]]
            for index in range(len(_RANGES)):
                truths = int(self._truths[index, category])
                if truths:
                    table[category, index] = _precisions(mine, index, truths)
        return AveragePrecisionResult(
            self.categories,
            ap=_mean(table[:, 0]),
            ap50=_mean(table[:, 0, 0]),
            ap75=_mean(table[:, 0, 5]),
            small=_mean(table[:, 1]),
            medium=_mean(table[:, 2]),
            large=_mean(table[:, 3]),
            classes=tuple(_mean(one) for one in table[:, 0]),
            source=self.source,
        )

    def _things(self, categories: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        return np.append(self.categories.is_thing, False)[categories]

    def _best_of_each_class(
        self, categories: Int64[np.ndarray, "m"], rank: Int64[np.ndarray, "m"]
    ) -> Int64[np.ndarray, "chosen"]:
        """The things that count, best first within their class."""
        order = np.lexsort((rank, categories))
        order = order[self._things(categories[order])]
        sorted_categories = categories[order]
        first = np.searchsorted(sorted_categories, sorted_categories)
        return order[np.arange(len(order)) - first < _LIMIT]


def _in_ranges(areas: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n 4"]:
    inside: np.ndarray = (areas[:, None] >= _RANGES[:, 0]) & (areas[:, None] <= _RANGES[:, 1])
    return inside


def _packed(flags: Bool[np.ndarray, "d r t"]) -> UInt16[np.ndarray, "d r"]:
    """Bit t of the last axis."""
    bits = np.uint16(1) << np.arange(flags.shape[2], dtype=np.uint16)
    packed: np.ndarray = (flags * bits).sum(axis=2, dtype=np.uint16)
    return packed


def _first_of_each(values: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "k"]:
    """Where each value occurs for the first time, in ascending order."""
    return np.sort(np.unique(values, return_index=True)[1]).astype(np.int64, copy=False)


def _precisions(rows: np.ndarray, index: int, truths: int) -> Float64[np.ndarray, "10"]:
    """AP of one class in one range of areas, at each threshold; `rows` by falling score."""
    level = np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)
    hit, ignored = (rows[name][:, index, None] >> level & 1 > 0 for name in ("found", "ignored"))
    found = np.cumsum(hit, axis=0, dtype=np.float64)
    wrong = np.cumsum(~hit & ~ignored, axis=0, dtype=np.float64)
    precision = found / (found + wrong + np.spacing(1))
    # The best precision at this recall or any higher one.
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    precision = np.concatenate((precision, np.zeros((1, len(level)))))
    recall = found / truths
    picked = [
        precision[np.searchsorted(recall[:, column], _RECALLS, side="left"), column] for column in level
    ]
    return np.mean(picked, axis=1)


def _mean(values: Float64[np.ndarray, "..."]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
