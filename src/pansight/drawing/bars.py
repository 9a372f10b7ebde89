"""Bar charts: one row per name, its bar in its colour, its number at the end."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from pansight.drawing.legends import BACKGROUND, INK, QUIET_INK
from pansight.drawing.shades import Color
from pansight.drawing.stencils import lay, rounded
from pansight.drawing.text import one_line, shortened, text_stencil, text_width
from pansight.errors import InputError

_WIDEST_NAME = 14
"""Names are cut at this many font sizes."""


class Bar(NamedTuple):
    """One row; `value` is 0 or more, `text` is how it is displayed. A heading has no colour."""

    name: str
    value: float = 0.0
    text: str = ""
    color: Color | None = None


def bar_chart(
    bars: Sequence[Bar], title: str, *, size: int = 16, length: int = 320, logarithmic: bool = False
) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image of horizontal bars, from the top, the longest `length` pixels; `size` is the font size.

    `logarithmic`: lengths are those of log(1 + value), for values that differ by orders of magnitude.
    Raises InputError when there are no bars, or a value is negative or not finite.
    """
    if not bars:
        raise InputError("a bar chart needs at least one bar")
    if not all(math.isfinite(bar.value) and bar.value >= 0 for bar in bars):
        raise InputError("bars need finite values of 0 or more")
    scaled = [math.log1p(bar.value) if logarithmic else bar.value for bar in bars]
    top = max(scaled) or 1.0
    names = [shortened(one_line(bar.name), size, _WIDEST_NAME * size) for bar in bars]
    step, gap, thick = round(1.75 * size), round(0.6 * size), round(0.95 * size)
    left = size + max(text_width(name, size) for name in names) + gap
    numbers = max(text_width(bar.text, size) for bar in bars)
    width = max(left + length + gap + numbers + size, 2 * size + text_width(title, size))
    chart = np.empty((2 * size + step * (len(bars) + 1), width, 3), dtype=np.uint8)
    chart[...] = BACKGROUND
    _write(chart, title, size, size, size + step // 2, INK)
    for row, (bar, name, value) in enumerate(zip(bars, names, scaled, strict=True), start=1):
        middle = size + row * step + step // 2
        if bar.color is None:
            _write(chart, name, max(round(0.75 * size), 6), size, middle, QUIET_INK)
            continue
        _write(chart, name, size, left - gap - text_width(name, size), middle, INK)
        long = max(round(length * value / top), 1 if value else 0)
        if long:
            radius = min(round(0.2 * size), long // 2)
            lay(chart, rounded(long, thick, radius), left, middle - thick // 2, bar.color)
        _write(chart, bar.text, size, left + long + gap, middle, QUIET_INK)
    return chart


def _write(chart: UInt8[np.ndarray, "h w 3"], text: str, size: int, x: int, middle: int, ink: Color) -> None:
    letters = text_stencil(text, size)
    lay(chart, letters, x, middle - letters.shape[0] // 2, ink)
