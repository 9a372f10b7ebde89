"""Semantic quality of panoptic maps: IoU of classes over all pixels, from the same overlap table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.metrics.matched import MatchedImage


@dataclass(frozen=True, slots=True, eq=False)
class SemanticResult:
    """IoU by class over the pixels of all images; fractions of 1.

    `confusion[i, j]`: pixels that are class i in the truth and class j in the prediction; the last column is
    predicted void. Pixels that are void in the truth count nowhere; void that is predicted elsewhere counts
    against its true class. Crowd regions count as their class. `ious`: by contiguous index, None for classes
    that occur in neither. `mean_iou` (mIoU) is their mean, `accuracy` the share of right pixels; None where
    there are no pixels to evaluate.
    """

    categories: Categories
    confusion: Int64[np.ndarray, "n columns"]
    ious: tuple[float | None, ...]
    mean_iou: float | None
    accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        """`miou`, `accuracy`, and `classes`: IoU by data-set category id."""
        ids = (str(category.dataset_id) for category in self.categories)
        return {
            "miou": self.mean_iou,
            "accuracy": self.accuracy,
            "classes": dict(zip(ids, self.ious, strict=True)),
        }


class SemanticQuality:
    """Accumulates the confusion of classes; additive and exact."""

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._confusion: Int64[np.ndarray, "n columns"] = np.zeros(
            (len(categories), len(categories) + 1), dtype=np.int64
        )

    def add(self, image: MatchedImage) -> None:
        """Count the pixels of one image."""
        true = np.append(image.truth.categories, -1)[image.truth_rows]
        # -1 is the last column: void.
        predicted = np.append(image.prediction.categories, -1)[image.prediction_rows]
        known = true >= 0
        np.add.at(self._confusion, (true[known], predicted[known]), image.overlaps.pixels[known])

    def merge(self, other: "SemanticQuality") -> None:
        """Add what another has seen."""
        self._confusion += other._confusion

    def compute(self) -> SemanticResult:
        """The quality of all pixels so far."""
        confusion = self._confusion.copy()
        right = np.diagonal(confusion)
        union = confusion.sum(axis=1) + confusion[:, :-1].sum(axis=0) - right
        ious = tuple(
            hit / size if size else None for hit, size in zip(right.tolist(), union.tolist(), strict=True)
        )
        occurring = [iou for iou in ious if iou is not None]
        pixels = int(confusion.sum())
        return SemanticResult(
            self.categories,
            confusion,
            ious,
            sum(occurring) / len(occurring) if occurring else None,
            int(right.sum()) / pixels if pixels else None,
        )
