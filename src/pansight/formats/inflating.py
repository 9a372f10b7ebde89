"""Inflating panoptic PNGs with zlib-ng, where that is installed; Pillow does the rest.

Pillow's wheels for Linux use the zlib of the system, often twelve times as slow as zlib-ng there. So
the image data of a PNG are inflated here and wrapped again uncompressed, which costs Pillow a copy.

Sources: https://www.w3.org/TR/png-3/ (sections 5, 10, 11); RFC 1950, RFC 1951.
"""

import struct
from functools import cache
from types import ModuleType

from PIL import features

_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_HEADER_END = 33
_CHANNELS = {2: 3, 6: 4}
"""By colour type: RGB and RGBA. No other holds segment ids."""
_LARGEST = 1 << 28
"""Bytes; larger images are left to Pillow, which guards against decompression bombs."""


def repacked(content: bytes) -> bytes:
    """A PNG of the same pixels that is quicker to decode, given the bytes of a file.

    Where zlib-ng is missing or of no use, and for anything but an intact, plain 8-bit RGB or RGBA PNG, it is
    `content` itself: the decoder reports what is wrong with it.
    """
    zlib = _zlib_ng()
    if zlib is None or not content.startswith(_START) or len(content) < _HEADER_END:
        return content
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, len(_START))
    size = height * (1 + width * _CHANNELS.get(colour, 0))
    if depth != 8 or colour not in _CHANNELS or interlaced or not 0 < size <= _LARGEST:
        return content
    found = _image_data(content)
    if found is None:
        return content
    first, end, data = found
    inflater = zlib.decompressobj()
    try:
        # One byte more than there should be, to see whether there is more.
        raw = inflater.decompress(data, size + 1)
    except zlib.error:
        return content
    if len(raw) != size or not inflater.eof:
        return content
    stored = zlib.compress(raw, 0)
    checksum = zlib.crc32(stored, zlib.crc32(b"IDAT"))
    length, check = struct.pack(">I", len(stored)), struct.pack(">I", checksum)
    # All other chunks stay: the decoder is to refuse what it would have refused.
    return b"".join((content[:first], length, b"IDAT", stored, check, content[end:]))


@cache
def _zlib_ng() -> ModuleType | None:
    """The bindings of zlib-ng, unless they are missing or Pillow has it already."""
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return None
    return None if "zlib-ng" in (features.version("zlib") or "") else zlib_ng


def _image_data(content: bytes) -> tuple[int, int, bytes] | None:
    """Where the chunks of image data begin and end, and the stream in them.

    None where the file is cut, animated or otherwise unusual.
    """
    parts: list[bytes] = []
    first = place = _HEADER_END
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind = content[place + 4 : place + 8]
        if kind == b"IDAT":
            parts.append(content[place + 8 : place + 8 + length])
        elif parts:
            return first, place, b"".join(parts)
        elif not kind[:1].islower() or kind == b"acTL":
            return None
        place += 12 + length
        first = first if parts else place
    return None
