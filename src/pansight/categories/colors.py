"""Colours for categories that bring none: distinct, pleasant, and the same on every call."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, UInt8


def distinct_colors(count: int, avoid: Iterable[Sequence[int]] = ()) -> list[tuple[int, int, int]]:
    """`count` different RGB colours, 0..255; none is in `avoid`, none is near black (which stands for void).

    Farthest-first choice in OKLab (B. Ottosson, https://bottosson.github.io/posts/oklab/) among colours of
    middle lightness and moderate chroma, so that neighbours in the list differ most.
    """
    if count == 0:
        return []
    used = [tuple(int(channel) for channel in color) for color in avoid]
    pool = _pleasant_pool(4 * (count + len(used)) + 4096)
    lab = oklab(pool)
    distance = np.full(len(pool), np.inf)
    for other in oklab(np.array([(0, 0, 0), *used], dtype=np.uint8)):
        np.minimum(distance, ((lab - other) ** 2).sum(1), out=distance)
    chosen = []
    for _ in range(count):
        best = int(distance.argmax())
        chosen.append((int(pool[best, 0]), int(pool[best, 1]), int(pool[best, 2])))
        np.minimum(distance, ((lab - lab[best]) ** 2).sum(1), out=distance)
    return chosen


_FROM_RGB = np.array(  # linear sRGB -> cone response, Ottosson
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_FROM_CONES = np.array(  # cube root of the cone response -> L, a, b, Ottosson
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _pleasant_pool(least: int) -> UInt8[np.ndarray, "n 3"]:
    """At least `least` distinct RGB colours, evenly spread: OKLab lightness 0.45..0.88, chroma 0.06..0.2."""
    for step in (8, 4, 2, 1):
        axis = np.arange(0, 256, step, dtype=np.uint8)
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        lab = oklab(grid)
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        pool: np.ndarray = grid[(lab[:, 0] > 0.45) & (lab[:, 0] < 0.88) & (chroma > 0.06) & (chroma < 0.2)]
        if len(pool) >= least:
            break
    return pool


def oklab(rgb: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """OKLab coordinates of sRGB colours: L in 0..1, a and b about -0.4..0.4."""
    value = rgb / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lab: np.ndarray = np.cbrt(linear @ _FROM_RGB.T) @ _FROM_CONES.T
    return lab


def from_oklab(lab: Float[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """The sRGB colours, 0..255, nearest to OKLab coordinates: `oklab` undone, clipped to the gamut."""
    linear = np.clip((lab @ np.linalg.inv(_FROM_CONES).T) ** 3 @ np.linalg.inv(_FROM_RGB).T, 0, 1)
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: np.ndarray = np.rint(value * 255).astype(np.uint8)
    return rgb
