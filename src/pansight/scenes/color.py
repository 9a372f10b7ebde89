"""Colours as RGB triples of 0..255, and the two ways in which they are changed."""

from collections.abc import Sequence
from typing import TypeVar

Color = tuple[int, int, int]
_T = TypeVar("_T")


def mix(first: Color, second: Color, share: float) -> Color:
    """The colour at `share` (0..1) of the way from the first to the second."""
    rest = 1.0 - share
    return (
        int(first[0] * rest + second[0] * share + 0.5),
        int(first[1] * rest + second[1] * share + 0.5),
        int(first[2] * rest + second[2] * share + 0.5),
    )


def shade(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter (factor > 1)."""
    return (
        min(255, int(color[0] * factor + 0.5)),
        min(255, int(color[1] * factor + 0.5)),
        min(255, int(color[2] * factor + 0.5)),
    )


def choose(palette: Sequence[_T], number: float) -> _T:
    """The entry of the palette that a number in [0, 1) stands for."""
    return palette[int(number * len(palette))]
