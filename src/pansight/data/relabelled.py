"""A data set in other categories: some joined, some renamed, some void."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pansight.categories import Categories
from pansight.data.sample import Sample
from pansight.panoptic import PanopticMap
from pansight.panoptic.labelling import Labelling


def translated(
    panoptic: PanopticMap, places: Mapping[int, int | None], categories: Categories
) -> PanopticMap:
    """The map in other categories; what has no place becomes void, stuff of one category one segment."""
    if panoptic.categories == categories and all(
        places.get(s.category) == s.category for s in panoptic.segments
    ):
        return panoptic
    rows: list[tuple[int, int, float | None, bool]] = []
    renumbered: dict[int, int] = {}
    stuff: dict[int, int] = {}
    for segment in panoptic.segments:
        new = places.get(segment.category)
        if new is None:
            renumbered[segment.id] = 0
        elif not categories[new].is_thing and new in stuff:
            renumbered[segment.id] = stuff[new]
        else:
            stuff[new] = segment.id
            rows.append((segment.id, new, segment.score, segment.is_crowd))
    ids = panoptic.ids
    if renumbered:
        values = [renumbered.get(segment.id, segment.id) for segment in panoptic.segments]
        ids = panoptic.paint(values)
    return PanopticMap.from_table(ids, rows, categories)


class Relabelled:
    """The samples of another data set, in other categories.

    `places` gives the new index of each contiguous category, None: its segments become void. `labelling` is
    in the new categories; None: the data set labels everything. `dataset`: a PanopticDataset, or, where only
    maps are asked for, anything with its `names`, `image_ids`, length and `truth`.
    """

    def __init__(
        self,
        dataset: Any,
        places: Mapping[int, int | None],
        categories: Categories,
        labelling: Labelling | None = None,
    ) -> None:
        self.dataset = dataset
        self.places = places
        self.labelling = labelling
        self._categories = categories

    @property
    def categories(self) -> Categories:
        """The categories of its samples."""
        return self._categories

    @property
    def names(self) -> Sequence[str]:
        """The file name of each image."""
        return self.dataset.names

    @property
    def image_ids(self) -> Sequence[int | str]:
        """The data set's own name for each image."""
        return self.dataset.image_ids

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        own = self.dataset[index]
        moved = translated(own.panoptic, self.places, self._categories)
        return replace(own, panoptic=moved, labelling=self.labelling)

    def truth(self, index: int) -> PanopticMap:
        """The map of an image, its file left closed."""
        return translated(self.dataset.truth(index), self.places, self._categories)
