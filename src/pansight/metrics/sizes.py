"""Panoptic quality of small, medium and large segments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.counts import Counts
from pansight.metrics.matched import MatchedImage
from pansight.metrics.results import PanopticQualityResult

SIZES = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """Small is an area below `medium_from`, large is one of `large_from` or more; in pixels.

    The defaults are those of COCO: 32 x 32 and 96 x 96. `relative`: both are fractions of the image, for
    images of many sizes; see `RELATIVE_SIZES`.
    """

    medium_from: int | float = 32**2
    large_from: int | float = 96**2
    relative: bool = False

    def __post_init__(self) -> None:
        """Raises InputError when the bounds do not ascend."""
        if not 0 < self.medium_from < self.large_from:
            raise InputError(
                f"sizes from {self.medium_from:g} and {self.large_from:g} do not ascend; "
                "give the smaller bound first"
            )

    def of(self, areas: Int64[np.ndarray, "n"], pixels: int) -> Int64[np.ndarray, "n"]:
        """0, 1 or 2 (small, medium, large) for each area, in an image of `pixels` pixels."""
        scale = float(pixels) if self.relative else 1.0
        bounds = np.array([self.medium_from * scale, self.large_from * scale])
        return np.searchsorted(bounds, areas, side="right").astype(np.int64, copy=False)


COCO_SIZES = SizeBounds()

RELATIVE_SIZES = SizeBounds(32.0**2 / (640 * 480), 96.0**2 / (640 * 480), relative=True)
"""COCO's bounds as fractions (1/300 and 3/100) of its usual image, 640 x 480."""


@dataclass(frozen=True, slots=True)
class SizesResult:
    """Panoptic quality by size.

    Matched and missed segments belong to the size of the true segment, false ones to their own; areas are
    counted in the maps. So the counts of the three add up to those of the whole.
    """

    bounds: SizeBounds
    small: PanopticQualityResult
    medium: PanopticQualityResult
    large: PanopticQualityResult

    def to_json(self) -> dict[str, Any]:
        """`bounds`, and for each size `all`, `things` and `stuff` (or None)."""
        bounds = {
            "medium_from": self.bounds.medium_from,
            "large_from": self.bounds.large_from,
            "relative": self.bounds.relative,
        }
        forms = {}
        for name, result in zip(SIZES, (self.small, self.medium, self.large), strict=True):
            form = result.to_json()
            forms[name] = {group: form[group] for group in ("all", "things", "stuff")}
        return {"bounds": bounds, **forms}


class SizeQuality:
    """Accumulates matches by class and size; additive and exact."""

    def __init__(self, categories: Categories, bounds: SizeBounds = COCO_SIZES) -> None:
        self.categories = categories
        self.bounds = bounds
        self._counts = Counts(len(SIZES) * len(categories))

    def add(self, image: MatchedImage) -> None:
        """Count the segments of one image."""
        pixels = int(image.truth_ids.size)
        bins = len(self.categories)
        true = self.bounds.of(image.truth_areas, pixels) * bins
        predicted = self.bounds.of(image.prediction_areas, pixels) * bins
        self._counts.add(
            true[image.matches.truth_rows] + image.found_classes,
            image.matches.ious,
            true[image.missed_rows] + image.missed_classes,
            predicted[image.false_rows] + image.false_classes,
        )

    def merge(self, other: "SizeQuality") -> None:
        """Add what another has counted."""
        self._counts.merge(other._counts)

    def compute(self, images: int) -> SizesResult:
        """The quality by size of all segments in the `images` seen so far."""
        bins = len(self.categories)
        small, medium, large = (
            self._counts.quality(self.categories, images, first=size * bins) for size in range(len(SIZES))
        )
        return SizesResult(self.bounds, small, medium, large)
