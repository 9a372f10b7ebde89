"""Less flicker: a pixel of an image that does not change keeps its segment for a few frames."""

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

_STILL = 12
"""Largest change of a channel, of 255, that is noise."""


class SteadyOutlines:
    """Holds back changes of single pixels where the image is still.

    A pixel that changes its segment, while the image there does not change and its old segment is still in
    the frame, keeps it until the change has lasted `frames` frames. Where the image changes, as under a
    moving object, the map is taken as it is: nothing lags behind.
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
        red, green, blue = (np.maximum(now, then) - np.minimum(now, then) <= _STILL).T
        still = red & green & blue
        places, old = places[still], old[still]
        held = np.zeros(ids.size, np.uint8)
        shown = ids
        if len(places):
            held[places] = self._held.ravel()[places] + 1
            shown = ids.copy()
            shown.ravel()[places] = old
        self._ids, self._image, self._held = shown, image, held.reshape(ids.shape)
        return shown
