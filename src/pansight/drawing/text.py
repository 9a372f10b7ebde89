"""Text as coverage masks, in the font that Pillow carries.

It has the letters of ASCII: accents are dropped, other scripts appear as empty boxes, never as errors.
"""

import math
import unicodedata
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_REFERENCE = 40
"""Font size at which widths are measured; they grow in proportion."""

_CAPITALS = 0.7
"""Height of the font's capitals, and `text_mask` leaves `_MARGIN` above and below them, in font sizes."""

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


def text_width(text: str, size: int) -> int:
    """Width in pixels, within one or two, of one line of text in a font size of `size` pixels."""
    return round(_aspect(_in_font(text)) * size)


def shortened(text: str, size: int, width: int) -> str:
    """The text, its end replaced by an ellipsis where it would be wider than `width` pixels."""
    keep = len(text)
    brief = text
    while keep and text_width(brief, size) > width:
        keep -= 1
        brief = text[:keep].rstrip() + "…"
    return brief if keep or not text else ""


@lru_cache(maxsize=1024)
def text_mask(text: str, size: int) -> UInt8[np.ndarray, "h w"]:
    """Coverage, 0..255, of one line of text; the capitals are centred vertically, the width is tight.

    The array is shared between calls and cannot be written to.
    """
    text, font = _in_font(text), _font(size)
    margin = round(_MARGIN * size)
    baseline = margin + round(_CAPITALS * size)
    # Half a font size of room on either side: some letters begin left of their origin.
    canvas = Image.new("L", (math.ceil(font.getlength(text)) + size, baseline + margin))
    ImageDraw.Draw(canvas).text((size // 2, baseline), text, fill=255, font=font, anchor="ls")
    mask = np.asarray(canvas)
    inked = np.flatnonzero(mask.any(axis=0))
    mask = mask[:, inked[0] : inked[-1] + 1] if len(inked) else mask[:, :1]
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=4096)
def _in_font(text: str) -> str:
    """The text with Latin letters that the font lacks replaced by the nearest that it has."""
    return "".join(_plain(character) for character in text.translate(_SPELLED))


def _plain(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    return parts.encode("ascii", "ignore").decode() if parts[0].isascii() else character


@lru_cache(maxsize=4096)
def _aspect(text: str) -> float:
    """Width divided by the font size."""
    return _font(_REFERENCE).getlength(text) / _REFERENCE


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
