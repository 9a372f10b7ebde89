"""Legends: what each colour means, in one map or in a whole set of categories."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from pansight.categories import Categories, Category
from pansight.drawing.names import short_names
from pansight.drawing.shades import Color, as_color, segment_colors, shades
from pansight.drawing.stencils import lay, rounded
from pansight.drawing.text import shortened, text_stencil, text_width
from pansight.errors import InputError
from pansight.panoptic import PanopticMap

BACKGROUND: Color = (22, 24, 29)
INK: Color = (236, 238, 242)
QUIET_INK: Color = (148, 154, 166)

_WIDEST = 16
"""Names are cut at this many font sizes."""

_STRIPES = 3
"""The most shades that the swatch of a thing category shows."""


class _Line(NamedTuple):
    """One line: a heading when it has no colours, else a swatch of them, a name, perhaps a number."""

    text: str
    colors: tuple[Color, ...] = ()
    number: str = ""


def legend(
    source: PanopticMap | Iterable[Category], *, size: int = 18, height: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image that shows what each colour means: things first, then stuff.

    Of a map it shows the categories present, the largest first, and of things their number and the shades of
    the first three; of categories it shows all in their order, things with examples of shades. `size` is the
    font size in pixels, 6..200. With `height` (pixels) the legend gets as many columns as it needs to be
    exactly that high, to fit next to an image of that height; less than one line is not possible. Raises
    InputError for a font size out of range.
    """
    if not 6 <= size <= 200:
        raise InputError(f"font size {size} of a legend is out of range; use 6..200 pixels")
    lines = _lines_of_map(source) if isinstance(source, PanopticMap) else _lines_of_categories(source)
    step = round(1.75 * size)
    fitting = max(len(lines) if height is None else (height - 2 * size) // step, 1)
    # As many columns as it takes, and all about as long: no last column of one line.
    length = max(-(-len(lines) // max(-(-len(lines) // fitting), 1)), 1)
    columns = [lines[start : start + length] for start in range(0, len(lines), length)]
    full = 2 * size + step * max((len(column) for column in columns), default=0)
    blocks = [_draw_column(column, size, max(full, height or 0)) for column in columns]
    return np.concatenate(blocks or [_draw_column([], size, max(full, height or 0))], axis=1)


def _lines_of_map(panoptic: PanopticMap) -> list[_Line]:
    colors = segment_colors(panoptic)[1:]
    members: dict[int, list[int]] = {}
    for position, segment in enumerate(panoptic.segments):
        members.setdefault(segment.category, []).append(position)

    def area(category: int) -> int:
        return sum(panoptic.segments[position].area for position in members[category])

    names = short_names(panoptic.categories)
    things, stuff = [], []
    for category in sorted(members, key=area, reverse=True):
        own = tuple(as_color(colors[position]) for position in members[category])
        if panoptic.categories[category].is_thing:
            things.append(_Line(names[category], own[:_STRIPES], str(len(own)) if len(own) > 1 else ""))
        else:
            stuff.append(_Line(names[category], own[:1]))
    return _with_headings(things, stuff)


def _lines_of_categories(source: Iterable[Category]) -> list[_Line]:
    categories = source if isinstance(source, Categories) else Categories(source)
    examples = np.arange(1, _STRIPES + 1, dtype=np.int64)
    things, stuff = [], []
    for category, name in zip(categories, short_names(categories), strict=True):
        if category.is_thing:
            base = np.tile(np.array(category.color, dtype=np.uint8), (_STRIPES, 1))
            things.append(_Line(name, tuple(as_color(shade) for shade in shades(base, examples))))
        else:
            stuff.append(_Line(name, (category.color,)))
    return _with_headings(things, stuff)


def _with_headings(things: list[_Line], stuff: list[_Line]) -> list[_Line]:
    return [
        *([_Line("THINGS"), *things] if things else []),
        *([_Line("STUFF"), *stuff] if stuff else []),
    ]


def _draw_column(lines: Sequence[_Line], size: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    step, swatch, gap = round(1.75 * size), round(1.2 * size), round(0.6 * size)
    small = max(round(0.75 * size), 6)
    texts = [shortened(line.text, size, _WIDEST * size) for line in lines]
    ends = [
        size
        + swatch
        + gap
        + text_width(text, size)
        + (gap + text_width(line.number, size) if line.number else 0)
        for line, text in zip(lines, texts, strict=True)
    ]
    column = np.empty((height, max(ends, default=0) + size, 3), dtype=np.uint8)
    column[...] = BACKGROUND
    for position, (line, text) in enumerate(zip(lines, texts, strict=True)):
        middle = size + position * step + step // 2
        if not line.colors:
            _write(column, text, small, size, middle, QUIET_INK)
            continue
        _draw_swatch(column, line.colors, size, middle - swatch // 2, swatch)
        left = size + swatch + gap
        _write(column, text, size, left, middle, INK)
        _write(column, line.number, size, left + text_width(text, size) + gap, middle, QUIET_INK)
    return column


def _write(column: UInt8[np.ndarray, "h w 3"], text: str, size: int, x: int, middle: int, ink: Color) -> None:
    letters = text_stencil(text, size)
    lay(column, letters, x, middle - letters.shape[0] // 2, ink)


def _draw_swatch(
    column: UInt8[np.ndarray, "h w 3"], colors: Sequence[Color], x: int, y: int, side: int
) -> None:
    shape = rounded(side, side, round(0.25 * side))
    cuts = [round(side * part / len(colors)) for part in range(len(colors) + 1)]
    for color, start, stop in zip(colors, cuts, cuts[1:], strict=False):
        lay(column, shape[:, start:stop], x + start, y, color)
