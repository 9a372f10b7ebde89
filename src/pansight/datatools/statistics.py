"""What is in a data set: segments, images, pixels and sizes of every class, counted in one pass."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.data.dataset import PanopticDataset
from pansight.datatools.preparing.workers import run_over
from pansight.panoptic import PanopticMap

SMALL, LARGE = 32**2, 96**2
"""Areas in pixels: small below the first, large from the second on (as in COCO's detection metrics)."""

_SEGMENTS, _PICTURES, _PIXELS, _SMALL, _MEDIUM, _LARGE, _CROWD = range(7)


class ClassStatistics(NamedTuple):
    """One class: its segments (crowds not among them), the images and pixels that it has, crowds included.

    `small`, `medium`, `large`: segments by area; `crowd`: regions of objects that are not separated.
    """

    name: str
    is_thing: bool
    segments: int
    pictures: int
    pixels: int
    small: int
    medium: int
    large: int
    crowd: int

    @property
    def mean_area(self) -> float | None:
        """Pixels per region, crowds included; None where there is none."""
        regions = self.segments + self.crowd
        return self.pixels / regions if regions else None


@dataclass
class Statistics:
    """Counts over a data set, in memory that does not grow with it; they can be merged."""

    categories: Categories
    pictures: int = 0
    pixels: int = 0
    void: int = 0
    empty: int = 0
    counts: Int64[np.ndarray, "7 n"] = field(init=False)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    segments_a_picture: Counter[int] = field(default_factory=Counter)
    things_a_picture: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts = np.zeros((7, len(self.categories)), dtype=np.int64)

    def update(self, truth: PanopticMap) -> None:
        """Count one image."""
        rows = [(one.category, one.area, one.is_crowd) for one in truth.segments]
        category, area, crowd = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        crowd = crowd.astype(np.bool_)
        small, large = ~crowd & (area < SMALL), ~crowd & (area >= LARGE)
        for row, chosen in (
            (_SEGMENTS, ~crowd),
            (_SMALL, small),
            (_MEDIUM, ~crowd & ~small & ~large),
            (_LARGE, large),
            (_CROWD, crowd),
        ):
            np.add.at(self.counts[row], category[chosen], 1)
        np.add.at(self.counts[_PIXELS], category, area)
        self.counts[_PICTURES, np.unique(category)] += 1
        pixels = truth.height * truth.width
        self.pictures += 1
        self.pixels += pixels
        self.void += pixels - int(area.sum())
        self.empty += not rows
        self.sizes[truth.width, truth.height] += 1
        self.segments_a_picture[len(rows)] += 1
        self.things_a_picture[int(self.categories.is_thing[category].sum())] += 1

    def merge(self, other: "Statistics") -> None:
        """Add the counts of another, of the same categories."""
        self.counts += other.counts
        self.pictures += other.pictures
        self.pixels += other.pixels
        self.void += other.void
        self.empty += other.empty
        self.sizes += other.sizes
        self.segments_a_picture += other.segments_a_picture
        self.things_a_picture += other.things_a_picture

    @property
    def void_share(self) -> float:
        """The share of all pixels that belongs to no segment, 0..1."""
        return self.void / self.pixels if self.pixels else 0.0

    def classes(self) -> tuple[ClassStatistics, ...]:
        """One entry per category, by contiguous index."""
        return tuple(
            ClassStatistics(category.name, category.is_thing, *row)
            for category, row in zip(self.categories, self.counts.T.tolist(), strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, for machines; classes by the data set's category ids."""
        return {
            "pictures": self.pictures,
            "pixels": self.pixels,
            "void_share": self.void_share,
            "empty_pictures": self.empty,
            "segments": int(self.counts[_SEGMENTS].sum()),
            "crowds": int(self.counts[_CROWD].sum()),
            "segments_a_picture": summary(self.segments_a_picture),
            "things_a_picture": summary(self.things_a_picture),
            "sizes": [
                {"width": width, "height": height, "pictures": count}
                for (width, height), count in sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))
            ],
            "classes": {
                str(category.dataset_id): {**one._asdict(), "mean_area": one.mean_area}
                for category, one in zip(self.categories, self.classes(), strict=True)
            },
        }


def gather_statistics(
    source: PanopticDataset, *, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> Statistics:
    """Count a whole data set; its images stay closed, only the truth is read.

    `progress` is called with (images done, images in all). Raises DataError, naming the file, at the
    first sample that cannot be read: the doctor (`pansight data check`) lists them all.
    """
    total = len(source)
    step = max(min(16, total // (4 * max(workers, 1))), 1)
    result = Statistics(source.categories)
    done = 0
    with closing(run_over(partial(_count, source, step), -(-total // step), workers)) as parts:
        for part in parts:
            result.merge(part)
            done = min(done + step, total)
            if progress is not None:
                progress(done, total)
    return result


def summary(counts: Counter[int]) -> dict[str, int | float]:
    """Smallest, median, mean and largest of numbers with these counts."""
    if not counts:
        return {"min": 0, "median": 0, "mean": 0.0, "max": 0}
    total = sum(counts.values())
    reached = 0
    median = 0
    for median in sorted(counts):
        reached += counts[median]
        if 2 * reached >= total:
            break
    mean = sum(value * count for value, count in counts.items()) / total
    return {"min": min(counts), "median": median, "mean": mean, "max": max(counts)}


def _count(source: PanopticDataset, step: int, index: int) -> Statistics:
    counted = Statistics(source.categories)
    for position in range(index * step, min((index + 1) * step, len(source))):
        counted.update(source.truth(position))
    return counted
