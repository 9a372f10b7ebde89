"""Colour onto pixels: integer arithmetic on whole images, no loop over segments.

Three facts make it fast. Rows of a map are long runs of one segment, so look-ups are done once per run or
block, not per pixel. Bytes are scaled two at a time as 16-bit words. Work goes chunk by chunk through
the cache.
"""

import numpy as np
from jaxtyping import Bool, UInt, UInt8

from pansight.panoptic import PanopticMap

_BLOCK = 8
"""Pixels that are coloured by one look-up when they belong together; eight flags are one 64-bit word."""

_CHUNK = 1 << 17
"""16-bit words scaled at a time: few calls, and what they share stays in the cache."""


def segment_rows(panoptic: PanopticMap) -> UInt[np.ndarray, "h w"]:
    """0 at void pixels, elsewhere 1 + the position of the pixel's segment, in the smallest unsigned type."""
    ids = panoptic.ids
    numbers = np.array([segment.id for segment in panoptic.segments], dtype=np.int64)
    dtype = np.min_scalar_type(len(numbers))
    if np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
        return ids.astype(dtype)
    flat = ids.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    order = np.argsort(numbers)
    ordered = np.concatenate([[0], numbers[order]])
    rows = np.concatenate([[0], order + 1]).astype(dtype)
    run_rows = rows[np.searchsorted(ordered, flat[starts])]
    return np.repeat(run_rows, np.diff(starts, append=flat.size)).reshape(ids.shape)


def paint(colors: UInt8[np.ndarray, "rows 3"], rows: UInt[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image whose pixels are `colors[rows]`.

    Every block of eight pixels is first filled with the colour of its first pixel, by one copy of 24 bytes;
    then the few blocks in which the row changes are done again, pixel by pixel.
    """
    flat = rows.reshape(-1)
    result = np.empty((flat.size, 3), dtype=np.uint8)
    whole = flat.size - flat.size % _BLOCK
    result[whole:] = colors[flat[whole:]]
    blocks, body = flat[:whole].reshape(-1, _BLOCK), result[:whole].reshape(-1, 3 * _BLOCK)
    if whole:
        np.take(np.tile(colors, (1, _BLOCK)), blocks[:, 0], axis=0, out=body, mode="clip")
        changes = np.zeros(whole, dtype=np.bool_)
        np.not_equal(flat[1:whole], flat[: whole - 1], out=changes[:-1])
        mixed = np.flatnonzero(changes.view(np.uint64))
        pixels = np.take(blocks, mixed, axis=0)
        body[mixed] = np.take(colors, pixels, axis=0, mode="clip").reshape(-1, 3 * _BLOCK)
    return result.reshape(*rows.shape, 3)


def blend(
    image: UInt8[np.ndarray, "h w 3"],
    rows: UInt[np.ndarray, "h w"],
    colors: UInt8[np.ndarray, "rows 3"],
    alpha: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """A new image (1 - alpha) * image + alpha * colors[rows], within 1.5 of the exact value; alpha 0..1."""
    keep = round((1 - alpha) * 256)
    # Only the colour is rounded to nearest: were both, white on white could reach 256 and wrap to 0.
    share = ((colors.astype(np.uint32) * (256 - keep) + 128) >> 8).astype(np.uint8)
    result = paint(share, rows)
    _add_scaled(result.reshape(-1), np.ascontiguousarray(image).reshape(-1), keep)
    return result


def _add_scaled(target: UInt8[np.ndarray, "n"], source: UInt8[np.ndarray, "n"], keep: int) -> None:
    """target += source * keep // 256 in place, for keep 0..256; the sums must fit a byte."""
    even = source.size - source.size % 2
    words, low, high = source[:even].view(np.uint16), np.empty(_CHUNK, np.uint16), np.empty(_CHUNK, np.uint16)
    for start in range(0, len(words), _CHUNK):
        pair = words[start : start + _CHUNK]
        lows, highs = low[: len(pair)], high[: len(pair)]
        np.bitwise_and(pair, 0x00FF, out=lows)
        lows *= keep
        lows >>= 8
        np.right_shift(pair, 8, out=highs)
        highs *= keep
        highs &= 0xFF00
        lows |= highs
        part = target[2 * start : 2 * (start + len(pair))]
        np.add(part, lows.view(np.uint8), out=part)
    target[even:] += (source[even:].astype(np.uint16) * keep >> 8).astype(np.uint8)


def boundary(rows: UInt[np.ndarray, "h w"], thickness: int) -> Bool[np.ndarray, "h w"]:
    """True at the pixels of lines between different rows, `thickness` >= 1 pixels wide.

    A line of one pixel lies right of and below the change, a wider one on both sides of it.
    """
    edge = np.zeros(rows.shape, dtype=np.bool_)
    # The pixels next to a change, for the sake of thin things, and those half a line away from it.
    for shift in {1, max(thickness // 2, 1)}:
        across, down = rows[:, shift:] != rows[:, :-shift], rows[shift:] != rows[:-shift]
        edge[:, shift:] |= across
        edge[shift:] |= down
        if thickness > 1:
            edge[:, :-shift] |= across
            edge[:-shift] |= down
    return edge


def draw_boundaries(
    picture: UInt8[np.ndarray, "h w 3"],
    rows: UInt[np.ndarray, "h w"],
    tones: UInt8[np.ndarray, "rows 3"],
    thickness: int,
) -> None:
    """Draw lines between segments onto `picture`: three quarters the tone of the pixel's own row, which lets
    the image's own edges soften the steps of the line."""
    where = np.flatnonzero(boundary(rows, thickness))
    found = rows.reshape(-1)[where]
    shares = (tones * 0.75).astype(np.uint8)
    # Channel by channel: numpy gathers single bytes much faster than groups of three.
    for channel, share in zip(picture.reshape(-1, 3).T, shares.T, strict=True):
        channel[where] = share[found] + (channel[where] >> 2)
