"""Names inside their segments: where there is room, how large, and the drawing itself."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt, UInt8

from pansight.drawing.distance import distance_inside
from pansight.drawing.shades import Color, as_color, lightened
from pansight.drawing.stencils import lay, rounded
from pansight.drawing.text import text_stencil, text_width

_CELLS = 180
"""Cells along the shorter side of the coarse map on which places are sought."""

_STRETCH = 2
"""Cells are this much wider than high, so that a disc of cells is an ellipse, as wide as words are."""

_COVER = 0.96
"""Share of a label's box that must lie on its own segment."""

_OPACITY = 200
"""Of the plate under a name, 0..255: a little of the image shows through."""

_INK: Color = (255, 255, 255)


class Label(NamedTuple):
    """A name to draw: the row of its segment, the font size, and the box of its plate in pixels."""

    text: str
    row: int
    size: int
    x: int
    y: int
    width: int
    height: int


def poles(
    rows: UInt[np.ndarray, "h w"], count: int
) -> tuple[Int64[np.ndarray, "rows 2"], Float[np.ndarray, "rows"]]:
    """For each row 0..count, the point (y, x) deepest inside it, and its depth.

    Depth is the half height, in pixels, of the largest ellipse around the point that stays inside; -1 for
    rows that are too small for the coarse map.

    One distance transform on a coarse map serves all rows at once (an approximate pole of inaccessibility).
    The border of the image is an edge like any other.
    """
    step_y = max(min(rows.shape) // _CELLS, 1)
    step_x = _STRETCH * step_y
    coarse = rows[step_y // 2 :: step_y, step_x // 2 :: step_x]
    inner = np.zeros((coarse.shape[0] + 2, coarse.shape[1] + 2), dtype=np.bool_)
    inner[1:-1, 1:-1] = True
    across, down = coarse[:, 1:] != coarse[:, :-1], coarse[1:] != coarse[:-1]
    inner[1:-1, 2:-1][across] = False
    inner[1:-1, 1:-2][across] = False
    inner[2:-1, 1:-1][down] = False
    inner[1:-2, 1:-1][down] = False
    depth = distance_inside(inner)[1:-1, 1:-1].reshape(-1)
    # Written in the order of depth, the deepest cell of each row is written last and stays.
    order = np.argsort(np.minimum(depth * 16, 65535).astype(np.uint16), kind="stable")
    best = np.full(count + 1, -1, dtype=np.int64)
    best[coarse.reshape(-1)[order]] = order
    seen = np.flatnonzero(best >= 0)
    places, depths = np.zeros((count + 1, 2), dtype=np.int64), np.full(count + 1, -1.0)
    # An image one pixel wide has no cells at all.
    y, x = np.divmod(best[seen], max(coarse.shape[1], 1))
    places[seen] = np.stack([y * step_y + step_y // 2, x * step_x + step_x // 2], axis=1)
    depths[seen] = depth[best[seen]] * step_y
    return places, depths


def place_labels(
    rows: UInt[np.ndarray, "h w"], texts: Sequence[str], areas: Int64[np.ndarray, "n"]
) -> list[Label]:
    """Labels for the segments whose name fits inside them, large segments first; boxes do not overlap.

    `texts` and `areas` (pixels) are in the order of the segments: segment i is row i + 1.
    """
    height, width = rows.shape
    short = min(height, width)
    least, most = max(9, round(short / 72)), max(10, round(short / 32))
    places, reach = poles(rows, len(texts))
    labels: list[Label] = []
    for index in np.argsort(-areas, kind="stable").tolist():
        text, row = texts[index], index + 1
        if not text or reach[row] < 0 or areas[index] < _area(text, least) * _COVER:
            continue
        y, x = places[row].tolist()
        size = min(max(round(math.sqrt(areas[index]) / 10), least), most)
        while size >= least:
            label = _around(text, row, size, y, x)
            if _fits(label, rows) and not any(_overlap(label, other) for other in labels):
                labels.append(label)
                break
            size = min(size - 1, round(size * 0.85))
    return labels


def draw_labels(
    picture: UInt8[np.ndarray, "h w 3"], labels: Sequence[Label], colors: UInt8[np.ndarray, "rows 3"]
) -> None:
    """Draw the labels onto `picture`: white on a rounded plate in a dark tone of the segment's colour."""
    plates = lightened(colors, -0.5)
    for label in labels:
        plate = rounded(label.width, label.height, round(0.36 * label.height), _OPACITY)
        lay(picture, plate, label.x, label.y, as_color(plates[label.row]))
        ink = text_stencil(label.text, label.size)
        x = label.x + (label.width - ink.shape[1]) // 2
        y = label.y + (label.height - ink.shape[0]) // 2
        lay(picture, ink, x, y, _INK)


def _around(text: str, row: int, size: int, y: int, x: int) -> Label:
    """The label of this font size whose plate is centred at (y, x)."""
    width, height = text_width(text, size) + round(0.9 * size), round(1.45 * size)
    return Label(text, row, size, x - width // 2, y - height // 2, width, height)


def _area(text: str, size: int) -> int:
    """Pixels of the plate."""
    label = _around(text, 0, size, 0, 0)
    return label.width * label.height


def _fits(label: Label, rows: UInt[np.ndarray, "h w"]) -> bool:
    bottom, right = label.y + label.height, label.x + label.width
    if label.y < 1 or label.x < 1 or bottom >= rows.shape[0] or right >= rows.shape[1]:
        return False
    return float((rows[label.y : bottom, label.x : right] == label.row).mean()) >= _COVER


def _overlap(one: Label, two: Label) -> bool:
    return (
        one.x < two.x + two.width
        and two.x < one.x + one.width
        and one.y < two.y + two.height
        and two.y < one.y + one.height
    )
