"""Text as stencils, in the font that Pillow carries.

It has the letters of ASCII: accents are dropped, other scripts appear as empty boxes, never as errors.
"""

import math
import unicodedata
from functools import lru_cache

import numpy as np
from jaxtyping import UInt16
from PIL import Image, ImageDraw, ImageFont

from pansight.drawing.stencils import stencil

_CAPITALS = 0.7
"""Height of the font's capitals, and `text_stencil` leaves `_MARGIN` above and below them, in font sizes."""

_MARGIN = 0.3

_SPELLED = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
    | {"Đ": "D", "ð": "d", "þ": "th", "ı": "i", "–": "-", "—": "-", "’": "'", "‘": "'", "×": "x"}
)
"""Letters that the font lacks and Unicode does not take apart."""


def one_line(text: str, longest: int = 60) -> str:
    """The text without line breaks, control characters and lone surrogates, cut to `longest` characters."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    words = " ".join(visible.split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> int:
    """Width in pixels of one line of text, with the space around its letters; `size` is the font size."""
    return math.ceil(_font(size).getlength(_in_font(text)))


def shortened(text: str, size: int, width: int) -> str:
    """The text, its end replaced by an ellipsis where it would be wider than `width` pixels."""
    keep = len(text)
    brief = text
    while keep and text_width(brief, size) > width:
        keep -= 1
        brief = text[:keep].rstrip() + "…"
    return brief if keep or not text else ""


@lru_cache(maxsize=128)
def text_stencil(text: str, size: int) -> UInt16[np.ndarray, "h w 3"]:
    """The stencil of one line of text: the capitals are centred vertically, the width is tight."""
    margin = round(_MARGIN * size)
    baseline = margin + round(_CAPITALS * size)
    # Half a font size of room on either side: some letters begin left of their origin.
    canvas = Image.new("L", (text_width(text, size) + size, baseline + margin))
    ImageDraw.Draw(canvas).text(
        (size // 2, baseline), _in_font(text), fill=255, font=_font(size), anchor="ls"
    )
    mask = np.asarray(canvas)
    inked = np.flatnonzero(mask.any(axis=0))
    return stencil(mask[:, inked[0] : inked[-1] + 1] if len(inked) else mask[:, :1])


@lru_cache(maxsize=4096)
def _in_font(text: str) -> str:
    """The text with Latin letters that the font lacks replaced by the nearest that it has.

    Marks that stand alone become spaces; those at either end would be width without ink.
    """
    return "".join(_plain(character) for character in text.translate(_SPELLED)).strip()


def _plain(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    return parts.encode("ascii", "ignore").decode() if parts[0].isascii() else character


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
