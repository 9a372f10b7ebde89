"""Which colour a segment is drawn in: stuff in its category's, each thing in a shade of it."""

import numpy as np
from jaxtyping import Int64, UInt8

from pansight.categories.colors import from_oklab, oklab
from pansight.panoptic import PanopticMap

Color = tuple[int, int, int]

VOID_COLOR: Color = (26, 28, 33)
"""Nearly black: what has no segment recedes."""

_STEPS = np.array([0.6180339887, 0.3027756377])
"""Multiples of these numbers modulo 1 spread evenly (golden and bronze mean): ids that lie near each other
get shades that do not."""

_LIGHTNESS, _HUE = 0.16, 0.45
"""How far shades go from the category's colour, either way: OKLab lightness 0..1, radians."""

_MIDDLE = (0.46, 0.76)
"""Darker and lighter colours are first moved to this lightness, or half of their shades would look alike."""

_LEAST_CHROMA = 0.05
"""A gray has no hue to turn; a breath of colour makes the turn visible, and still reads as gray."""


def segment_colors(panoptic: PanopticMap) -> UInt8[np.ndarray, "rows 3"]:
    """RGB, 0..255, of void (row 0) and of each segment in order (row 1 + position).

    Stuff has its category's own colour. A thing has a shade of it that depends on nothing but category and
    id, so an object that keeps its id through a video keeps its colour.
    """
    categories = np.array([segment.category for segment in panoptic.segments], dtype=np.int64)
    ids = np.array([segment.id for segment in panoptic.segments], dtype=np.int64)
    base = panoptic.categories.colors[categories]
    colors = np.where(panoptic.categories.is_thing[categories, None], shades(base, ids), base)
    return np.concatenate([np.array([VOID_COLOR], dtype=np.uint8), colors])


def shades(base: UInt8[np.ndarray, "n 3"], ids: Int64[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 3"]:
    """The shade of each RGB colour `base` that belongs to the id: another lightness, a hue close by."""
    lighter, turned = ((ids[:, None] * _STEPS) % 1.0 * 2 - 1).T
    lab = oklab(base)
    lightness = np.clip(lab[:, 0], *_MIDDLE) + _LIGHTNESS * lighter
    chroma = np.maximum(np.hypot(lab[:, 1], lab[:, 2]), _LEAST_CHROMA)
    hue = np.arctan2(lab[:, 2], lab[:, 1]) + _HUE * turned
    # Screens cannot show every chroma at every lightness: take the most of nine that survives the way to sRGB
    # and back. Clipping instead would turn different shades into the same one.
    tries = np.linspace(1.0, 0.2, 9)[:, None] * chroma
    wanted = np.stack([np.broadcast_to(lightness, tries.shape), tries * np.cos(hue), tries * np.sin(hue)], -1)
    colors = from_oklab(wanted.reshape(-1, 3))
    error = np.abs(oklab(colors) - wanted.reshape(-1, 3)).max(axis=1).reshape(tries.shape)
    chosen: np.ndarray = colors.reshape(*tries.shape, 3)[(error < 0.015).argmax(axis=0), np.arange(len(base))]
    return chosen


def lightened(colors: UInt8[np.ndarray, "n 3"], amount: float) -> UInt8[np.ndarray, "n 3"]:
    """The colours moved towards white (`amount` 0..1) or black (-1..0) in OKLab."""
    goal = np.array([1.0 if amount > 0 else 0.0, 0.0, 0.0])
    lab = oklab(colors)
    return from_oklab(lab + abs(amount) * (goal - lab))


def as_color(row: UInt8[np.ndarray, "3"]) -> Color:
    """A row of a colour table as plain numbers."""
    red, green, blue = row.tolist()
    return red, green, blue
