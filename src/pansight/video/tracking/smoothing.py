"""Less flicker: where the image does not change, pixels keep their segment for a few frames."""

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt8

_NOISE = 12
"""Largest change of a channel, of 255, that is noise."""
_CELLS = 24
"""Along an image's shorter side: the pixels of a cell decide together."""


class SteadyOutlines:
    """Holds back changes of the map where the image is still.

    A pixel that changes its segment, while the image around it does not change and its old segment is still
    in the frame, keeps it until the change has lasted `frames` frames. Where the image changes, as under a
    moving object, the map is taken as it is: nothing lags behind. Pixels decide together with those around
    them that change from the same segment to the same other one; alone, they would leave outlines in tatters
    wherever a camera moves.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._ids: Int32[np.ndarray, "h w"] | None = None
        self._image: UInt8[np.ndarray, "h w 3"] | None = None
        self._held: UInt8[np.ndarray, "h w"] | None = None

    def apply(
        self,
        ids: Int32[np.ndarray, "h w"],
        image: UInt8[np.ndarray, "h w 3"],
        present: Int64[np.ndarray, "n"],
    ) -> Int32[np.ndarray, "h w"]:
        """The ids to show: `ids` itself where nothing is held back. `present`: those in the map."""
        if self._ids is None or self._held is None or self._image is None or self._ids.shape != ids.shape:
            self._ids, self._image, self._held = ids, image, np.zeros(ids.shape, np.uint8)
            return ids
        changed: Bool[np.ndarray, "h w"] = self._ids != ids
        places = np.flatnonzero(changed)
        old = self._ids.ravel()[places]
        keep = (self._held.ravel()[places] < self.frames) & (old != 0) & np.isin(old, present)
        places, old = places[keep], old[keep]
        now, then = (one.reshape(-1, 3).take(places, 0) for one in (image, self._image))
        red, green, blue = (np.maximum(now, then) - np.minimum(now, then) > _NOISE).T
        _, kinds = np.unique(old.astype(np.int64) << 32 | ids.ravel()[places], return_inverse=True)
        still = share_around(red | green | blue, places, kinds, ids.shape) < 0.5
        places, old = places[still], old[still]
        held = np.zeros(ids.size, np.uint8)
        shown = ids
        if len(places):
            held[places] = self._held.ravel()[places] + 1
            shown = ids.copy()
            shown.ravel()[places] = old
        self._ids, self._image, self._held = shown, image, held.reshape(ids.shape)
        return shown


def share_around(
    chosen: Bool[np.ndarray, "n"],
    places: Int64[np.ndarray, "n"],
    kinds: Int64[np.ndarray, "n"],
    shape: tuple[int, ...],
) -> Float64[np.ndarray, "n"]:
    """The share (0..1) of chosen places among those of its kind around each place.

    A place is row * width + column; kinds are numbered from 0. Counted in cells and interpolated between
    their centres, so that a threshold has smooth outlines.
    """
    height, width = shape
    row, column = np.divmod(places, width)
    side = max(min(shape) // _CELLS, 4)
    rows, columns = -(-height // side), -(-width // side)
    size = rows * columns * (int(kinds.max(initial=-1)) + 1)
    cell = (kinds * rows + row // side) * columns + column // side
    counts = np.stack([np.bincount(cell, weights, size) for weights in (chosen, np.ones(len(places)))])
    counts = counts.reshape(2, -1, rows, columns)
    top, down = _between((row + 0.5) / side, rows)
    left, right = _between((column + 0.5) / side, columns)
    below, beside = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
    upper, lower = (
        counts[:, kinds, line, left] * (1 - right) + counts[:, kinds, line, beside] * right
        for line in (top, below)
    )
    some, every = upper * (1 - down) + lower * down
    return some / every


def _between(
    at: Float64[np.ndarray, "n"], cells: int
) -> tuple[Int64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """The cell whose centre comes before each position, and how far it is from there to the next (0..1).

    Positions are in cells.
    """
    at = (at - 0.5).clip(0, cells - 1)
    cell = np.floor(at)
    return cell.astype(np.int64), at - cell
