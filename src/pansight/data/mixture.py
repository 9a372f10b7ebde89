"""Several data sets as one: how often each is drawn from, and what its categories are called here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.data.dataset import PanopticDataset
from pansight.data.relabelled import translated
from pansight.data.sample import Sample
from pansight.errors import DataError
from pansight.panoptic.labelling import Labelling

BLOCK = 240
"""positions in which every member has its exact share, rounded to whole samples"""
ENDLESS = 2**40
"""positions a mixture is taken to have; a training never gets there"""
_SHUFFLED = 1_000_000
"""members longer than this, such as scenes, are gone through in order: their samples are random anyway"""


@dataclass(frozen=True)
class Member:
    """A data set in a mixture.

    `places` gives, for each contiguous category of the data set, the one of the mixture; None: the pixels
    become unlabelled. `labelling` is in the mixture's categories; None: the data set labels everything.
    `chosen` are the positions that take part; None: all.
    """

    name: str
    dataset: PanopticDataset
    weight: float
    places: Mapping[int, int | None]
    labelling: Labelling | None = None
    chosen: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.dataset if self.chosen is None else self.chosen)

    def sample(self, position: int, categories: Categories) -> Sample:
        """Sample `position` of those that take part, in the mixture's categories."""
        own = self.dataset[position if self.chosen is None else self.chosen[position]]
        return replace(
            own,
            panoptic=translated(own.panoptic, self.places, categories),
            file_name=f"{self.name}/{own.file_name}",
            labelling=self.labelling,
        )


class Mixture:
    """An endless series of samples drawn from several data sets in fixed shares.

    Every block of positions holds each member's share in shuffled order, and each member is gone through,
    shuffled anew every time, before any of its samples comes again. What lies at a position depends on
    nothing but the position and the seed, so a series can be entered anywhere and by any process.
    """

    def __init__(self, members: Sequence[Member], categories: Categories, seed: int = 0) -> None:
        """Raises DataError for no members, members without samples, and weights that are not positive."""
        if not members:
            raise DataError("a mixture needs at least one data set; name some in data.sets")
        for member in members:
            if not member.weight > 0:
                raise DataError(f"{member.name}: weight must be positive, got {member.weight:g}; correct it")
            if len(member) == 0:
                raise DataError(f"{member.name}: has no images to draw from; leave it out or choose others")
        self.members = tuple(members)
        self.categories = categories
        self.seed = seed
        self._pattern = _pattern([member.weight for member in members])
        self._counts = np.bincount(self._pattern, minlength=len(members))

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, position: int) -> Sample:
        member, place = self.place(position)
        return self.members[member].sample(place, self.categories)

    def place(self, position: int) -> tuple[int, int]:
        """The member, by its number, and the sample of it that lie at a position."""
        block, rank = divmod(position, len(self._pattern))
        order = self._pattern[_order(self.seed, 0, block, len(self._pattern))]
        member = int(order[rank])
        before = block * int(self._counts[member]) + int((order[:rank] == member).sum())
        count = len(self.members[member])
        turn, place = divmod(before, count)
        if count > _SHUFFLED:
            return member, place
        return member, int(_order(self.seed, member + 1, turn, count)[place])

    def shares(self) -> dict[str, float]:
        """The share of each member in what is drawn, by name; they add up to 1."""
        total = len(self._pattern)
        return {
            member.name: int(count) / total for member, count in zip(self.members, self._counts, strict=True)
        }


def _pattern(weights: Sequence[float]) -> Int64[np.ndarray, " n"]:
    """The member of each position of a block before it is shuffled: largest remainders, at least one each."""
    shares = np.array(weights) / sum(weights) * BLOCK
    counts = np.maximum(np.floor(shares), 1).astype(np.int64)
    for member in np.argsort(-(shares - counts), kind="stable")[: max(BLOCK - int(counts.sum()), 0)]:
        counts[member] += 1
    return np.repeat(np.arange(len(counts)), counts)


@lru_cache(maxsize=64)
def _order(seed: int, stream: int, turn: int, count: int) -> Int64[np.ndarray, " n"]:
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream, turn))))
    return generator.permutation(count)


class Joint:
    """Samples of several data sets one after the other, to validate with: a share of each from the front."""

    def __init__(self, members: Sequence[Member], categories: Categories, limit: int = 0) -> None:
        """`limit`: images in all, divided as the members' sizes are; 0: all."""
        self.members = tuple(members)
        self.categories = categories
        total = sum(map(len, self.members))
        share = 1.0 if not limit or limit >= total else limit / total
        self._where = [
            (member, place)
            for member in self.members
            for place in range(max(1, round(share * len(member))) if len(member) else 0)
        ]

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, position: int) -> Sample:
        member, place = self._where[position]
        return member.sample(place, self.categories)
