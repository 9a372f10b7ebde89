"""The three ways in which COCO writes a mask, without pycocotools: polygons, run lengths, packed run lengths.

Masks are equal to those of pycocotools to the last pixel, polygons included.
Source: https://cocodataset.org/#format-data, section 1, and cocoapi's common/maskApi.c for the conventions:
runs go down the columns and begin with the zeros; polygons are drawn on a grid five times as fine.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from pansight.errors import DataError
from pansight.panoptic.rle import encode_mask as encode_mask

_FINER = 5
"""How much finer than pixels the grid is on which polygons are drawn."""

_MOST_STEPS = 1 << 26
"""Steps along an outline: more come only from coordinates that are not pixels."""


def decode_segmentation(segmentation: Any, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask of a `segmentation`: polygons [[x, y, x, y, ...], ...] or run lengths {counts, size}.

    Polygons of one annotation are joined; points and lines among them cover nothing. Raises DataError, in
    words that fit behind "has a segmentation", when it is malformed or of another size than `height` x
    `width`.
    """
    if isinstance(segmentation, list):
        mask = np.zeros((height, width), dtype=np.bool_)
        if segmentation and all(isinstance(one, int | float) for one in segmentation):
            raise DataError(
                "that is a flat list of numbers; polygons are lists in a list, [[x, y, x, y ...]]"
            )
        for polygon in segmentation:
            if not is_stray(polygon):
                mask |= polygon_mask(polygon, height, width)
        return mask
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise DataError("that is neither a list of polygons nor run lengths with counts")
    size = segmentation.get("size", [height, width])
    if size != [height, width]:
        raise DataError(f"of size {size}, but the image has height {height}, width {width}")
    counts = segmentation["counts"]
    runs = _unpacked(counts) if isinstance(counts, str) else _whole(counts)
    if len(runs) and int(runs.min()) < 0:
        raise DataError("with negative run lengths")
    if len(runs) and int(runs.max()) > height * width:  # their sum could overflow, and fit
        raise DataError(f"with a run of {int(runs.max())} of {height * width} pixels")
    if int(runs.sum()) != height * width:
        raise DataError(f"whose runs cover {int(runs.sum())} of {height * width} pixels")
    columns = np.repeat((np.arange(len(runs)) & 1).astype(np.bool_), runs)
    return columns.reshape(width, height).T


def is_stray(polygon: Any) -> bool:
    """Whether a part of a segmentation is a point or a line, x, y or x, y, x, y: drawing tools leave some."""
    return (
        isinstance(polygon, list)
        and len(polygon) in (0, 2, 4)
        and all(isinstance(one, int | float) and abs(one) < _MOST_STEPS for one in polygon)
    )


def polygons_area(segmentation: Any) -> float:
    """The area that polygons enclose, in pixels, inside of the image and outside; 0 for run lengths.

    For what `decode_segmentation` has taken.
    """
    if not isinstance(segmentation, list):
        return 0.0
    total = 0.0
    for polygon in segmentation:
        if not is_stray(polygon):
            x, y = np.asarray(polygon, np.float64).reshape(-1, 2).T
            total += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return total


def polygon_mask(polygon: Any, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels inside one polygon [x, y, x, y, ...]; (0, 0) is the upper left corner of the image.

    What lies outside of the image is cut off; inside is where a line to it crosses the outline an odd
    number of times. Raises DataError as `decode_segmentation` does.
    """
    outline = _outline(polygon)
    mask = np.zeros((height, width), dtype=np.bool_)
    x, y = _crossings(outline, height, width)
    if not len(x):
        return mask
    left, right = int(x.min()), int(x.max())
    # Down the columns, every crossing switches between outside and inside. One at the very foot of a column
    # is the head of the next one.
    switches = np.bincount((x - left) * height + y, minlength=(right - left + 1) * height + 1)
    inside = (np.cumsum(switches[:-1]) & 1).astype(np.bool_)
    mask[:, left : right + 1] = inside[: (right - left + 1) * height].reshape(-1, height).T
    return mask


def _outline(polygon: Any) -> Int64[np.ndarray, "n 2"]:
    """The corners on the fine grid, the first one again at the end."""
    try:
        points = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("with a polygon that is not a list of numbers") from None
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise DataError("with a polygon that is not a list x, y, x, y ... of three or more corners")
    if np.abs(points).max() * _FINER >= _MOST_STEPS:
        raise DataError(f"with a polygon that reaches out to {np.abs(points).max():.3g} pixels")
    fine = (points * _FINER + 0.5).astype(np.int64).reshape(-1, 2)
    return np.concatenate([fine, fine[:1]])


def _crossings(
    outline: Int64[np.ndarray, "n 2"], height: int, width: int
) -> tuple[Int64[np.ndarray, "m"], Int64[np.ndarray, "m"]]:
    """Where the outline crosses the centre line of a pixel column: the column, and the first row below."""
    begin, step = outline[:-1], np.diff(outline, axis=0)
    long = np.abs(step).max(axis=1)
    begin, step, long = begin[long > 0], step[long > 0], long[long > 0]
    if int(long.sum()) > _MOST_STEPS:
        raise DataError("with a polygon that reaches far out of the image")
    empty = np.zeros(0, np.int64)
    if not len(long):
        return empty, empty
    # Walk every edge along its longer axis, always upwards: rounding must not depend on its direction.
    flat = np.abs(step[:, 0]) >= np.abs(step[:, 1])
    major = np.where(flat, step[:, 0], step[:, 1])
    minor = np.where(flat, step[:, 1], step[:, 0])
    back = major < 0
    low_major = np.where(flat, begin[:, 0], begin[:, 1]) + np.where(back, major, 0)
    low_minor = np.where(flat, begin[:, 1], begin[:, 0]) + np.where(back, minor, 0)
    slope = np.where(back, -minor, minor) / long

    edge = np.repeat(np.arange(len(long)), long + 1)
    walked = np.arange(len(edge)) - np.repeat(np.cumsum(long + 1) - (long + 1), long + 1)
    walked = np.where(back[edge], long[edge] - walked, walked)
    along = low_major[edge] + walked
    across = (low_minor[edge] + slope[edge] * walked + 0.5).astype(np.int64)
    u, v = np.where(flat[edge], along, across), np.where(flat[edge], across, along)

    turn = np.flatnonzero(u[1:] != u[:-1])
    ahead = u[turn + 1] < u[turn]
    column = (np.where(ahead, u[turn + 1], u[turn + 1] - 1) + 0.5) / _FINER - 0.5
    row = (np.minimum(v[turn + 1], v[turn]) + 0.5) / _FINER - 0.5
    on_centre = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    return (
        column[on_centre].astype(np.int64),
        np.ceil(np.clip(row[on_centre], 0, height)).astype(np.int64),
    )


def _whole(counts: Any) -> Int64[np.ndarray, "n"]:
    if not isinstance(counts, Sequence) or not all(type(count) is int for count in counts):
        raise DataError("whose counts are neither whole numbers nor text")
    if any(abs(count) >> 62 for count in counts):
        raise DataError("whose counts hold numbers that are too large")
    return np.array(counts, dtype=np.int64)


def _unpacked(text: str) -> Int64[np.ndarray, "n"]:
    """Five bits a letter, lowest first; from the fourth number on the difference to the last but one."""
    try:
        letters = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise DataError("whose counts hold letters that do not belong there") from None
    if not len(letters):
        return letters
    if int(letters.min()) < 0 or int(letters.max()) > 63 or letters[-1] & 0x20:
        raise DataError("whose counts hold letters that do not belong there")
    ends = np.flatnonzero(letters & 0x20 == 0)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if int(lengths.max()) > 10:
        raise DataError("whose counts hold numbers that are too large")
    place = np.arange(len(letters)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((letters & 0x1F) << (5 * place), starts)
    numbers -= np.where(letters[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
