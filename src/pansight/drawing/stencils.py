"""Stencils: coverage masks through which one colour is laid onto a picture."""

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

_FINE = 4
"""Edges are drawn this many times larger and averaged, which makes them smooth."""


@lru_cache(maxsize=1024)
def rounded(width: int, height: int, radius: int, opacity: int = 255) -> UInt8[np.ndarray, "h w"]:
    """Coverage, 0..`opacity`, of a rectangle with rounded corners; lengths in pixels.

    The array is shared between calls and cannot be written to.
    """
    canvas = Image.new("L", (width * _FINE, height * _FINE))
    box = (0, 0, width * _FINE - 1, height * _FINE - 1)
    ImageDraw.Draw(canvas).rounded_rectangle(box, radius=radius * _FINE, fill=opacity)
    mask = np.asarray(canvas.resize((width, height), Image.Resampling.BOX))
    mask.flags.writeable = False
    return mask


def lay(
    picture: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "mh mw"],
    x: int,
    y: int,
    color: tuple[int, int, int],
) -> None:
    """Lay `color` over `picture`, in place, where the mask covers; (x, y) is the mask's upper left corner.

    What hangs out of the picture is cut.
    """
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], picture.shape[0]), min(x + mask.shape[1], picture.shape[1])
    if top >= bottom or left >= right:
        return
    region = picture[top:bottom, left:right]
    # Repeated along the channels: a broadcast over the last, short axis is several times slower.
    cover = np.repeat(mask[top - y : bottom - y, left - x : right - x], 3, axis=1).astype(np.uint16)
    old = region.reshape(bottom - top, -1)
    fresh = np.tile(np.array(color, dtype=np.uint16), right - left)
    # The division by 255 in integers: (v + 1 + (v >> 8)) >> 8 is v // 255 for every v < 65535.
    mixed = fresh * cover
    mixed += old * (255 - cover)
    mixed += 127
    region[...] = ((mixed + 1 + (mixed >> 8)) >> 8).reshape(region.shape)
