"""Which colour a segment is drawn in: stuff in its category's, each thing in a shade of it."""

import numpy as np
from jaxtyping import Float, Int64, UInt8

from pansight.colors import from_oklab, oklab
from pansight.panoptic import PanopticMap

VOID_COLOR = (26, 28, 33)
"""Nearly black: what has no segment recedes."""

# Steps of the R2 sequence (M. Roberts, "The unreasonable effectiveness of quasirandom sequences"): consecutive
# ids fall far apart in the plane, and any set of them covers it evenly.
_R2 = np.array([0.7548776662466927, 0.5698402909980532])
_LIGHTNESS = 0.13
_HUE = 0.38  # radians


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
    offset = (ids[:, None] * _R2) % 1.0 * 2 - 1
    lab = oklab(base)
    chroma, hue = np.hypot(lab[:, 1], lab[:, 2]), np.arctan2(lab[:, 2], lab[:, 1])
    # Very dark and very light colours are moved inwards first, or half of their shades would look alike.
    lightness = np.clip(lab[:, 0], 0.42, 0.80) + _LIGHTNESS * offset[:, 0]
    hue = hue + _HUE * offset[:, 1]
    # A gray has no hue to turn; a breath of colour makes the turn visible, and still reads as gray.
    chroma = np.maximum(chroma, 0.03)
    return from_oklab(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))


def lightened(colors: UInt8[np.ndarray, "n 3"], amount: float) -> UInt8[np.ndarray, "n 3"]:
    """The colours moved towards white (`amount` 0..1) or black (-1..0) in OKLab."""
    return from_oklab(_towards(oklab(colors), amount))


def _towards(lab: Float[np.ndarray, "n 3"], amount: float) -> Float[np.ndarray, "n 3"]:
    goal = np.array([1.0 if amount > 0 else 0.0, 0.0, 0.0])
    return lab + abs(amount) * (goal - lab)
