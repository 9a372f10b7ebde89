"""A part of one data set that is kept from training, to validate with."""

import zlib
from collections.abc import Sequence

from pansight.categories import Categories
from pansight.data.dataset import PanopticDataset
from pansight.data.sample import Sample
from pansight.panoptic import PanopticMap

_PARTS = 2**32


class Part:
    """Some samples of a data set, in its order."""

    def __init__(self, dataset: PanopticDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)

    @property
    def categories(self) -> Categories:
        """The categories of the samples."""
        return self.dataset.categories

    @property
    def names(self) -> Sequence[str]:
        """The file name of each image."""
        return [self.dataset.names[index] for index in self.indices]

    @property
    def image_ids(self) -> Sequence[int | str]:
        """The data set's own name for each image."""
        return [self.dataset.image_ids[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def truth(self, index: int) -> PanopticMap:
        """The map of an image, its file left closed."""
        return self.dataset.truth(self.indices[index])


def hold_out(dataset: PanopticDataset, share: float) -> tuple[PanopticDataset, PanopticDataset | None]:
    """The samples to train on, and about `share` of all to validate with (0..1).

    An image's name alone says where it belongs, so it stays there when others are added. Of two images or
    more at least one goes to each side; of a single one there is nothing to validate with.
    """
    if not share or len(dataset) < 2:
        return dataset, None
    marks = [zlib.crc32(name.encode("utf-8", "surrogateescape")) / _PARTS for name in dataset.names]
    chosen = [index for index, mark in enumerate(marks) if mark < share]
    if not chosen:
        chosen = [min(range(len(marks)), key=marks.__getitem__)]
    if len(chosen) == len(marks):
        chosen.remove(max(range(len(marks)), key=marks.__getitem__))
    held = set(chosen)
    return Part(dataset, [index for index in range(len(marks)) if index not in held]), Part(dataset, chosen)
