"""Text as coverage masks, in the font that Pillow carries.

The font knows Latin letters; others appear as its empty box, never as an error.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_REFERENCE = 40


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def one_line(text: str, longest: int = 60) -> str:
    """The text without line breaks, control characters and lone surrogates, cut to `longest` characters."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    words = " ".join(visible.encode("utf-8", "replace").decode("utf-8").split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


@lru_cache(maxsize=4096)
def aspect(text: str) -> float:
    """Width of the text divided by the font size."""
    return _font(_REFERENCE).getlength(text) / _REFERENCE


@lru_cache(maxsize=1024)
def text_mask(text: str, size: int) -> UInt8[np.ndarray, "h w"]:
    """Coverage, 0..255, of one line of text: `size` pixels high, cut tight left and right.

    Capitals are centred vertically. The array is shared between calls: do not write to it.
    """
    font = _font(size)
    canvas = Image.new("L", (max(math.ceil(font.getlength(text)), 1) + size, size))
    # Capitals of the font are 0.7 of its size high.
    ImageDraw.Draw(canvas).text((size // 2, round(0.85 * size)), text, fill=255, font=font, anchor="ls")
    mask = np.asarray(canvas)
    inked = np.flatnonzero(mask.any(axis=0))
    mask = mask[:, inked[0] : inked[-1] + 1] if len(inked) else mask[:, :1]
    mask.flags.writeable = False
    return mask


def write(
    picture: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "mh mw"],
    x: int,
    y: int,
    color: tuple[int, int, int],
) -> None:
    """Lay `color` over `picture` where the mask covers, its upper left corner at (x, y); what hangs out is cut."""
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], picture.shape[0]), min(x + mask.shape[1], picture.shape[1])
    if top >= bottom or left >= right:
        return
    region = picture[top:bottom, left:right]
    cover = mask[top - y : bottom - y, left - x : right - x, None].astype(np.int32)
    region[...] = region + (np.array(color, dtype=np.int32) - region) * cover // 255
