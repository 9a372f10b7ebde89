"""The papers' own figures, for comparison with a score on the same data set."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pansight.categories import BUILTIN, Categories


@dataclass(frozen=True, slots=True)
class Published:
    """One published result on a data set; panoptic quality and its parts in per cent, None where not told.

    `data`: coco, cityscapes, ade20k or mapillary. `size`: input as the source says it, short side and longest
    side, or one side. `fps`: images a second at batch 1 on `hardware`. `own`: said of the very model that
    was scored.
    """

    method: str
    data: str
    pq: float
    source: str
    split: str = "val"
    backbone: str = ""
    size: str = ""
    things: float | None = None
    stuff: float | None = None
    sq: float | None = None
    rq: float | None = None
    fps: float | None = None
    hardware: str = ""
    own: bool = False

    @property
    def setting(self) -> str:
        """Backbone, input size and split in one line."""
        return ", ".join(
            part for part in (self.backbone, self.size and f"input {self.size}", self.split) if part
        )


def published_figures(data: str) -> tuple[Published, ...]:
    """Every figure of the collection for a data set, the best first; none for a name without figures."""
    found = [row for row in _collection() if row.data == data]
    return tuple(sorted(found, key=lambda row: -row.pq))


def sources_of(rows: Iterable[Published]) -> list[str]:
    """What the rows are taken from, each once; the position of a row's source is its footnote."""
    return list(dict.fromkeys(row.source for row in rows))


def data_set_of(categories: Categories) -> str | None:
    """The published data set that these categories are of, by their names; None where it is another."""
    names = set(categories.names)
    for name in BUILTIN:
        if names == set(Categories.builtin(name).names):
            return name
    return None


@cache
def _collection() -> tuple[Published, ...]:
    file = resources.files("pansight").joinpath("assets", "published.json")
    return tuple(Published(**row) for row in json.loads(file.read_text(encoding="utf-8")))
