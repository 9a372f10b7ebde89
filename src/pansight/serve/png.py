"""Panoptic PNGs, written fast: neighbouring rows of a map are alike, so one filter serves them all."""

import struct
import zlib

import numpy as np
from jaxtyping import Int32, UInt8

from pansight.panoptic.ids import ids_to_rgb

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _UP = 2, 2
"""colour type and filter of the PNG specification: 8-bit RGB, each byte less the one above it"""


def ids_png(ids: Int32[np.ndarray, "h w"], text: str | None = None) -> bytes:
    """The panoptic PNG of a map, id = R + 256 G + 65536 B, lossless; `text` travels inside as the comment
    "segments" (UTF-8, compressed)."""
    pixels = ids_to_rgb(ids)
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], 8, _RGB, 0, 0, 0))]
    if text is not None:
        chunks.append(_chunk(b"iTXt", b"segments\0\1\0\0\0" + zlib.compress(text.encode(), 1)))
    chunks += [_chunk(b"IDAT", zlib.compress(_filtered(pixels), 1)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def _filtered(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, 3 * width)
    lines = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    lines[:, 0] = _UP
    lines[:1, 1:] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return lines.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
