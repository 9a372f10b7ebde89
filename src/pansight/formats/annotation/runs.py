"""Masks as run lengths along the rows, and shapes as masks in the two conventions that tools have.

Edges: (0, 0)-(1, 1) is the first pixel (CVAT, COCO, Label Studio): `pansight.formats.coco_masks`.
Indices: (0, 0) is the centre of the first pixel, and outlines belong to a shape (labelme, Supervisely, YOLO):
here, drawn by Pillow, as labelme draws.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64
from PIL import Image, ImageDraw

from pansight.errors import DataError
from pansight.formats.annotation.objects import Crop, clipped

_FARTHEST = 1 << 24
"""Pixels: coordinates beyond are a mistake in the file."""


def row_runs(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "n"]:
    """Lengths of the runs along the rows, the first one of False (0 where the mask begins with True)."""
    flat = np.ascontiguousarray(mask).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if len(flat) and flat[0] else []
    return np.diff(np.concatenate([[0, *first], changes, [len(flat)]]).astype(np.int64))


def from_row_runs(runs: Sequence[float], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask of such lengths. Raises DataError, to be put behind a name, when they do not add up."""
    lengths = np.asarray(runs, np.float64)
    if lengths.ndim != 1 or not np.isfinite(lengths).all() or (lengths < 0).any():
        raise DataError("has run lengths that are not whole numbers from 0")
    if int(lengths.sum()) != height * width:
        raise DataError(f"has run lengths for {int(lengths.sum())} of {height * width} pixels")
    values = (np.arange(len(lengths)) & 1).astype(np.bool_)
    return np.repeat(values, lengths.astype(np.int64)).reshape(height, width)


def drawn_polygon(rings: Sequence[Float64[np.ndarray, "n 2"]], height: int, width: int) -> Crop:
    """The pixels of an outer ring without the holes, outlines included; corners are pixel indices.

    The outline of a hole belongs to the object, as OpenCV and Pillow draw it. Raises DataError, in words
    that fit behind a name, for corners that are not numbers or lie far outside.
    """
    outer = _window(rings[0], height, width)
    if outer is None:
        return Crop(np.zeros((0, 0), np.bool_), 0, 0)
    left, top, right, bottom = outer
    canvas = Image.new("L", (right - left, bottom - top))
    draw = ImageDraw.Draw(canvas)
    draw.polygon([(x - left, y - top) for x, y in rings[0].tolist()], fill=1, outline=1)
    for ring in rings[1:]:
        corners = [(x - left, y - top) for x, y in ring.tolist()]
        hole = Image.new("L", canvas.size)
        pen = ImageDraw.Draw(hole)
        pen.polygon(corners, fill=1, outline=0)
        pen.line([*corners, corners[0]], fill=0)
        canvas.paste(0, (0, 0), hole.point(lambda value: value * 255))
    return clipped(np.asarray(canvas) > 0, left, top, height, width)


def drawn_rectangle(corners: Float64[np.ndarray, "2 2"], height: int, width: int) -> Crop:
    """All pixels between two opposite corners, both included."""
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    window = _window(ring, height, width)
    if window is None:
        return Crop(np.zeros((0, 0), np.bool_), 0, 0)
    x, y, right_end, bottom_end = window
    canvas = Image.new("L", (right_end - x, bottom_end - y))
    ImageDraw.Draw(canvas).rectangle((left - x, top - y, right - x, bottom - y), fill=1, outline=1)
    return clipped(np.asarray(canvas) > 0, x, y, height, width)


def drawn_circle(centre: Float64[np.ndarray, "2"], radius: float, height: int, width: int) -> Crop:
    """The pixels of a circle, its rim included."""
    ring = np.stack([centre - radius, centre + radius])
    window = _window(ring, height, width)
    if window is None:
        return Crop(np.zeros((0, 0), np.bool_), 0, 0)
    x, y, right, bottom = window
    canvas = Image.new("L", (right - x, bottom - y))
    box = tuple((ring - (x, y)).ravel().tolist())
    ImageDraw.Draw(canvas).ellipse(box, fill=1, outline=1)
    return clipped(np.asarray(canvas) > 0, x, y, height, width)


def _window(ring: Float64[np.ndarray, "n 2"], height: int, width: int) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what has to be drawn; None where nothing of it can be in the image."""
    if not np.isfinite(ring).all() or np.abs(ring).max(initial=0) > _FARTHEST:
        raise DataError("has corners that are not numbers, or lie far outside the image")
    left, top = (int(side) for side in np.floor(ring.min(axis=0)))
    right, bottom = (int(side) + 2 for side in np.ceil(ring.max(axis=0)))
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return None
    # Pillow clips; only whole pixels of a large margin may be cut off, or rounding would differ
    return (
        max(left, -width - 64),
        max(top, -height - 64),
        min(right, 2 * width + 64),
        min(bottom, 2 * height + 64),
    )
