"""Association by masks: how much of a track's last mask, moved along, a segment covers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64, Integer

_POINTS = 25_000
"""Grid points on which masks are compared unless a stride is given: at 512 x 800 every fourth pixel."""


def stride_of(height: int, width: int) -> int:
    """The stride at which an image has about 25 000 grid points."""
    return max(1, round((height * width / _POINTS) ** 0.5))


def on_grid(ids: Integer[np.ndarray, "h w"], stride: int) -> Integer[np.ndarray, "gh gw"]:
    """Every stride-th pixel, from the middle of each cell."""
    return ids[stride // 2 :: stride, stride // 2 :: stride]


@dataclass(frozen=True)
class Masks:
    """The masks of n tracks on the grid: for each point its track and its place."""

    track: Int64[np.ndarray, "p"]
    y: Int64[np.ndarray, "p"]
    x: Int64[np.ndarray, "p"]

    @classmethod
    def none(cls) -> "Masks":
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty)

    @classmethod
    def of(cls, rows: Integer[np.ndarray, "gh gw"]) -> "Masks":
        """Of a grid that holds the number of a track, or -1."""
        y, x = np.nonzero(rows >= 0)
        return cls(rows[y, x].astype(np.int64), y, x)

    def kept(self, fresh: Int64[np.ndarray, "n"]) -> "Masks":
        """Those of some tracks under new numbers; -1 drops a track."""
        track = fresh[self.track]
        keep = track >= 0
        return Masks(track[keep], self.y[keep], self.x[keep])

    def __add__(self, other: "Masks") -> "Masks":
        return Masks(*(np.concatenate(parts) for parts in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.track, self.y, self.x


def mask_iou(
    masks: Masks,
    shifts: Float64[np.ndarray, "n 2"],
    rows: Int32[np.ndarray, "gh gw"],
    segments: int,
) -> Float64[np.ndarray, "n m"]:
    """IoU of each track's mask, moved by its shift (x, y, in grid steps), with each of `segments` segments.

    `rows` holds the number of a segment at each grid point, or -1. One joint histogram answers all pairs.
    """
    tracks = len(shifts)
    steps = np.rint(shifts).astype(np.int64)
    y, x = masks.y + steps[masks.track, 1], masks.x + steps[masks.track, 0]
    inside = (y >= 0) & (y < rows.shape[0]) & (x >= 0) & (x < rows.shape[1])
    track = masks.track[inside]
    found = rows[y[inside], x[inside]].astype(np.int64)
    joint = np.bincount(track * (segments + 1) + found + 1, minlength=tracks * (segments + 1))
    joint = joint.reshape(tracks, segments + 1)
    areas = np.bincount(rows.ravel() + 1, minlength=segments + 1)[1:]
    shared = joint[:, 1:].astype(np.float64)
    union = joint.sum(1)[:, None] + areas[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
