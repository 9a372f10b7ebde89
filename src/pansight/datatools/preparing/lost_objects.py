"""What a conversion could not take over whole: objects without pixels or outside of the image."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from pansight.formats.annotation.losses import (
    HIDDEN,
    NO_AREA,
    NO_MASK,
    NO_PIXELS,
    OUTSIDE,
    SHRUNK,
    Lost,
)
from pansight.panoptic import PanopticMap

_NAMED = 5
"""Objects of a kind that are named; the others are counted."""

_GONE = (NO_MASK, NO_PIXELS, HIDDEN, NO_AREA)
_REMEDIES = {
    NO_MASK: "--boxes-as-masks fills their boxes",
    NO_PIXELS: "check their coordinates",
    OUTSIDE: "check that the coordinates are pixels of this image",
    SHRUNK: "check that the coordinates are pixels, not fractions of the size",
}


class Taken(NamedTuple):
    """One image, converted: its map, the objects in its source, crowds among them, and what was lost."""

    truth: PanopticMap
    objects: int
    crowds: int
    lost: tuple[Lost, ...]


class Counts(NamedTuple):
    """The same without the map, but for the number of its segments."""

    objects: int
    crowds: int
    segments: int
    lost: tuple[Lost, ...]


@runtime_checkable
class CountedSource(Protocol):
    """A source of truth that says what it could not take over."""

    def take(self, index: int, /) -> Taken: ...


@dataclass
class Census:
    """Everything that was converted, and what of it came out less than whole."""

    images: int = 0
    objects: int = 0
    crowds: int = 0
    segments: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=dict)

    def add(self, counts: "Counts") -> None:
        """Count one image."""
        self.images += 1
        self.objects += counts.objects
        self.crowds += counts.crowds
        self.segments += counts.segments
        for one in counts.lost:
            self.lost[one.kind] += 1
            names = self.named.setdefault(one.kind, [])
            if len(names) < _NAMED:
                names.append(one.name)

    @property
    def gone(self) -> int:
        """Objects that nothing is left of."""
        return sum(self.lost[kind] for kind in _GONE)

    def lines(self) -> Iterator[str]:
        """A line for each kind of loss: how many, which, and what to do."""
        for kind, count in self.lost.items():
            names = self.named[kind]
            more = f" and {count - len(names)} more" if count > len(names) else ""
            remedy = f"; {_REMEDIES[kind]}" if kind in _REMEDIES else ""
            yield f"{count} of {self.objects} objects {kind}: {'; '.join(names)}{more}{remedy}"
        if self.objects and self.crowds == self.objects:
            yield (
                f"all {self.objects} objects are crowds (iscrowd 1), which no training and no score counts; "
                "CVAT marks every mask so; --no-crowds takes them for single objects"
            )
        if not self.objects and self.images:
            yield f"no object in any of {self.images} images: all maps are void"
        if self.objects and not self.segments:
            yield f"none of {self.objects} objects has a pixel: all maps are void"
