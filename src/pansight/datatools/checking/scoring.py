"""The truth scored against itself, which must give PQ 100: the proof that an evaluator can use it."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories, Category
from pansight.datatools.checking.tables import Classes
from pansight.errors import CategoryError, DataProblemsError
from pansight.metrics import EvaluationWarning, PanopticQuality

_LARGEST_ID = 1 << 62


def scoring_categories(classes: Classes, used: Iterable[int]) -> Categories:
    """Categories for scoring: those declared, else those that segments are of. Their names are ids."""
    things = dict(classes.things) if classes.declared else dict.fromkeys(used, False)
    return Categories(
        Category(str(id), thing, id, (0, 0, 0)) for id, thing in things.items() if abs(id) < _LARGEST_ID
    )


class OwnScore:
    """Accumulates images scored against themselves, by the rules of the reference evaluator."""

    def __init__(self, categories: Categories) -> None:
        self.quality = PanopticQuality(categories, exact=True)
        self.refused = 0

    def add(self, ids: Int32[np.ndarray, "h w"] | None, segments: Sequence[Any]) -> None:
        """Score one image; without ids, or with segments that cannot be scored, it is refused."""
        if ids is None:
            self.refused += 1
            return
        try:
            self.quality.update_coco(ids, segments, ids, segments)
        except (DataProblemsError, CategoryError):
            self.refused += 1

    def merge(self, other: "OwnScore") -> None:
        """Take over the images of another one."""
        self.quality.merge(other.quality)
        self.refused += other.refused

    @property
    def images(self) -> int:
        """Images scored."""
        return self.quality.images

    def pq(self) -> float | None:
        """Panoptic quality, a fraction of 1; None where nothing counts."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvaluationWarning)
            result = self.quality.compute().all
        return None if result is None else result.pq
