"""Stencils: how much of a colour each pixel takes, and laying a colour onto an image through one.

A stencil is a weight 0..256 for every pixel and channel: in this form, laying is a handful of plain array
operations on bytes that lie in one piece.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageDraw

_FINE = 4
"""Edges are drawn this many times larger and averaged, which makes them smooth."""


def stencil(mask: UInt8[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w 3"]:
    """The stencil, which cannot be written to, of a coverage mask 0..255."""
    weights = np.repeat((mask + (mask >> 7).astype(np.uint16))[..., None], 3, axis=2)
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=128)
def rounded(width: int, height: int, radius: int, opacity: int = 255) -> UInt16[np.ndarray, "h w 3"]:
    """The stencil of a rectangle with rounded corners; lengths in pixels, opacity 0..255."""
    canvas = Image.new("L", (width * _FINE, height * _FINE))
    box = (0, 0, width * _FINE - 1, height * _FINE - 1)
    ImageDraw.Draw(canvas).rounded_rectangle(box, radius=radius * _FINE, fill=opacity)
    return stencil(np.asarray(canvas.resize((width, height), Image.Resampling.BOX)))


def lay(
    picture: UInt8[np.ndarray, "h w 3"],
    weights: UInt16[np.ndarray, "sh sw 3"],
    x: int,
    y: int,
    color: tuple[int, int, int],
) -> None:
    """Lay `color` onto `picture`, in place, through a stencil with its upper left corner at (x, y).

    What hangs out of the image is cut.
    """
    top, left = max(y, 0), max(x, 0)
    bottom = min(y + weights.shape[0], picture.shape[0])
    right = min(x + weights.shape[1], picture.shape[1])
    if top >= bottom or left >= right:
        return
    region = picture[top:bottom, left:right]
    share = weights[top - y : bottom - y, left - x : right - x]
    # A row of the colour, not one pixel of it: numpy is slow where the innermost axis has length three.
    ink = np.tile(np.array(color, dtype=np.uint16), (right - left, 1))
    mixed = region * (256 - share)
    mixed += ink * share
    mixed >>= 8
    region[...] = mixed
