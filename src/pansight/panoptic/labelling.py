"""What the truth of an image says nothing about: data sets that do not label everything."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from pansight.panoptic.map import PanopticMap


@dataclass(frozen=True)
class Labelling:
    """Contiguous indices of the categories that a data set labels.

    `annotated`: those that have labels in it. `complete`: those of which no object or region was left out, so
    that an unlabelled pixel is certainly none of them; a part of `annotated`.

    Example:
        >>> Labelling(frozenset({0, 2}), frozenset({0})).complete_mask(3).tolist()
        [True, False, False]
    """

    annotated: frozenset[int]
    complete: frozenset[int]

    def complete_mask(self, count: int) -> Bool[np.ndarray, " k"]:
        """Of each of `count` categories, whether an unlabelled pixel is certainly none of it."""
        mask = np.zeros(count, dtype=np.bool_)
        mask[sorted(self.complete)] = True
        return mask

    def translated(self, places: Mapping[int, int | None]) -> "Labelling":
        """The same in other categories: `places` gives the new index of each old one, None where it has none.

        A category that several old ones become is complete where all of them are.
        """
        annotated = {new for old in self.annotated if (new := places.get(old)) is not None}
        sources: dict[int, set[int]] = {}
        for old, new in places.items():
            if new is not None:
                sources.setdefault(new, set()).add(old)
        complete = {new for new, olds in sources.items() if olds <= self.complete}
        return Labelling(frozenset(annotated), frozenset(complete))


def only_categories(panoptic: PanopticMap, kept: Collection[int]) -> PanopticMap:
    """The map without segments of other categories; their pixels become void."""
    rows = [(s.id, s.category, s.score, s.is_crowd) for s in panoptic.segments if s.category in kept]
    if len(rows) == len(panoptic.segments):
        return panoptic
    return PanopticMap.from_table(panoptic.ids, rows, panoptic.categories, unlisted="void")
