"""What shows only across all images: categories never used, things never told apart, duplicates."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.tables import Classes

_ENOUGH = 20
"""A thing must be in at least this many images before it is odd that none has two of it."""

_ENOUGH_TRAINING = 50
"""A training set smaller than this may lack a category by chance."""


class Seen(NamedTuple):
    """One segment as it counts: `label` is that of Cityscapes in its id, `height` its place, 0 top to 1."""

    category: int
    crowd: bool
    area: int
    height: float
    label: int


@dataclass
class Tally:
    """Counts over the images of one set; a few numbers per category, and 16 bytes per image."""

    file: str
    split: str
    classes: Classes
    images: int = 0
    segments: Counter[int] = field(default_factory=Counter)
    pictures: Counter[int] = field(default_factory=Counter)
    repeats: Counter[int] = field(default_factory=Counter)
    crowds: Counter[int] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    height_sums: Counter[int] = field(default_factory=Counter)
    labels: Counter[tuple[int, int]] = field(default_factory=Counter)
    digests: dict[bytes, str] = field(default_factory=dict)

    def add(self, segments: Iterable[Seen]) -> None:
        """Count the segments of one image."""
        self.images += 1
        alone: Counter[int] = Counter()
        for one in segments:
            self.segments[one.category] += 1
            self.crowds[one.category] += one.crowd
            self.pixels[one.category] += one.area
            self.height_sums[one.category] += one.area * one.height  # type: ignore[assignment]
            self.labels[one.label, one.category] += 1
            alone[one.category] += 1
        for category, count in alone.items():
            self.pictures[category] += 1
            self.repeats[category] += count > 1

    def add_picture(self, digest: bytes, file: str) -> str | None:
        """Remember an image; returns the file of an identical earlier one, if any."""
        return None if (first := self.digests.setdefault(digest, file)) == file else first

    def heights(self) -> dict[int, tuple[float, int]]:
        """The mean height and the images of each category."""
        return {id: (self.height_sums[id] / max(self.pixels[id], 1), n) for id, n in self.pictures.items()}

    def check(self, notes: Notes) -> None:
        """Note categories without segments, and things of which no image shows two."""
        unused = [repr(name) for id, name in self.classes.names.items() if not self.segments[id]]
        for name in unused:
            notes.add(kinds.CATEGORY_UNUSED, name)
        for id, count in self.pictures.items():
            thing = self.classes.declared and self.classes.things.get(id, False)
            if thing and count >= _ENOUGH and not self.repeats[id] and not self.crowds[id]:
                notes.add(
                    kinds.THING_SINGLE, f"{self.classes.name(id)!r}: one segment in each of {count} images"
                )


def compare_splits(tallies: list[Tally]) -> list[Notes]:
    """Compare the splits of one data set: their tables, their categories, their images."""
    gathered = []
    training = [tally for tally in tallies if tally.split == "train"]
    first: dict[bytes, tuple[str, str]] = {}
    for tally in tallies:
        notes = Notes(tally.file)
        leading = tallies[0]
        for id, name in tally.classes.names.items():
            before = (
                leading.classes.names.get(id, name),
                leading.classes.things.get(id, tally.classes.things[id]),
            )
            if before != (name, tally.classes.things[id]):
                what = f"{before[0]!r}" if before[0] != name else "a thing" if before[1] else "stuff"
                notes.add(kinds.CATEGORY_DIFFERS, f"{name!r} (id {id}) is {what} in {leading.file}")
        if tally not in training and sum(one.images for one in training) >= _ENOUGH_TRAINING:
            for id, count in tally.segments.items():
                if not any(one.segments[id] for one in training):
                    notes.add(kinds.CATEGORY_UNTRAINED, f"{tally.classes.name(id)!r} ({count} segments)")
        gathered.append(notes)
        for digest, file in tally.digests.items():
            split, other = first.setdefault(digest, (tally.split, file))
            if split != tally.split:
                leak = Notes(file)
                leak.add(kinds.PICTURE_LEAKED, f"in {tally.split}; in {split} as {other}")
                gathered.append(leak)
    return gathered


def why_nothing_counts(tally: Tally) -> str:
    """Why no segment of a set enters a score, in a few words."""
    if not tally.segments:
        return "no listed segment has a pixel"
    if tally.crowds.total() == tally.segments.total():
        return f"all {tally.segments.total()} segments are crowds"
    return "no segment is of a category that counts"
