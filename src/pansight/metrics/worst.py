"""The images with the lowest panoptic quality, in bounded memory."""

from typing import Any, NamedTuple

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.counts import Counts
from pansight.metrics.losses import Causes, Losses, LossTable
from pansight.metrics.matched import MatchedImage


class WorstPicture(NamedTuple):
    """An image, its own PQ (0..1, over the classes that occur in it) and where the rest of it was lost."""

    name: str
    pq: float
    lost: Losses

    def to_json(self) -> dict[str, Any]:
        """`name`, `pq`, and `lost` in points by cause."""
        return {"name": self.name, "pq": self.pq, "lost": self.lost.to_json()}


class WorstPictures:
    """Keeps the `keep` worst images seen: lowest PQ first, then most segments lost, then by name.

    Images in which nothing counts are passed over. Raises InputError when `keep` is negative.
    """

    def __init__(self, categories: Categories, keep: int) -> None:
        if keep < 0:
            raise InputError(f"cannot keep {keep} images; give 0 or more")
        self.categories = categories
        self.keep = keep
        # PQ, minus the segments lost, name, losses: in ascending order.
        self._kept: list[tuple[float, float, str, Losses]] = []

    def add(self, image: MatchedImage, causes: Causes) -> None:
        """Look at one image."""
        n = len(self.categories)
        tally = image.tally(n)
        segments = tally.tp + 0.5 * (tally.fp + tally.fn)
        present = segments > 0
        if not self.keep or not present.any():
            return
        pq = float((tally.iou[present] / segments[present]).mean())
        key = (pq, -float((segments - tally.iou).sum()), image.name)
        if len(self._kept) == self.keep and key >= self._kept[-1][:3]:
            return
        counts, table = Counts(n), LossTable(self.categories)
        counts.add(image.found_classes, image.matches.ious, image.missed_classes, image.false_classes)
        table.add(image, causes)
        lost = table.compute(counts).all
        assert lost is not None  # some class is present
        self._keep([*self._kept, (*key, lost)])

    def merge(self, other: "WorstPictures") -> None:
        """Take over what another has kept."""
        self._keep(self._kept + other._kept)

    def compute(self) -> tuple[WorstPicture, ...]:
        """The worst images, the worst first."""
        return tuple(WorstPicture(name, pq, lost) for pq, _, name, lost in self._kept)

    def _keep(self, pictures: list[tuple[float, float, str, Losses]]) -> None:
        self._kept = sorted(pictures, key=lambda picture: picture[:3])[: self.keep]
