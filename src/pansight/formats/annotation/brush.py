"""Label Studio's brush strokes: RGBA of an image as packed run lengths, bit for bit (@thi.ng/rle-pack).

One string of bits, highest first: 32 bits, the number of values; 5 bits, the size of a word less 1; four
times 4 bits, the sizes of the length fields less 1; then packets. A packet is 1 bit (1: one word that is
repeated; 0: words follow), 2 bits that choose the length field, the count less 1, and the words.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from pansight.errors import DataError
from pansight.formats.annotation.runs import row_runs

_FIELDS = (3, 4, 8, 16)
"""Bits of the four length fields, as the editor writes them."""

_CHANNELS = 4


def decode_brush(rle: Sequence[int], height: int, width: int, threshold: int = 0) -> Bool[np.ndarray, "h w"]:
    """The pixels whose alpha is above `threshold`; edges of strokes are soft, 1..254.

    Raises DataError, in words that fit behind a name, when the bytes are cut or of another size.
    """
    count = height * width * _CHANNELS
    try:
        content = bytes(rle)
    except (TypeError, ValueError):
        raise DataError("has an rle that is not a list of bytes 0..255") from None
    values = _unpacked(content, count)
    alpha: Bool[np.ndarray, "h w"] = values.reshape(height, width, _CHANNELS)[..., 3] > threshold
    return alpha


def _unpacked(content: bytes, count: int) -> UInt8[np.ndarray, "n"]:
    total = len(content) * 8

    def number(place: int, bits: int) -> int:
        if place + bits > total:
            raise DataError("has an rle that is cut off")
        end = (place + bits + 7) // 8
        word = int.from_bytes(content[place // 8 : end], "big")
        return (word >> (end * 8 - place - bits)) & ((1 << bits) - 1)

    said = number(0, 32)
    if said != count:
        raise DataError(f"has an rle of {said} values, where the image has {count}")
    word = number(32, 5) + 1
    if word > 8:
        raise DataError(f"has an rle with words of {word} bits, where brushes have 8")
    fields = [number(37 + 4 * position, 4) + 1 for position in range(4)]
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    weights = (1 << np.arange(word - 1, -1, -1)).astype(np.int64)
    values = np.zeros(count, np.uint8)
    place, done = 53, 0
    while done < count:
        repeated, field = number(place, 1), fields[number(place + 1, 2)]
        length = number(place + 3, field) + 1
        place += 3 + field
        if done + length > count:
            raise DataError("has an rle that holds more values than it says")
        words = 1 if repeated else length
        if place + words * word > total:
            raise DataError("has an rle that is cut off")
        if repeated:
            values[done : done + length] = number(place, word)
        else:
            block = bits[place : place + words * word].reshape(words, word)
            values[done : done + length] = block @ weights
        place += words * word
        done += length
    return values


def encode_brush(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """The bytes that `decode_brush` and the editor read: 255 in all four channels at the mask, else 0."""
    parts = [f"{mask.size * _CHANNELS:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _FIELDS)]
    for position, run in enumerate(row_runs(mask).tolist()):
        rest = run * _CHANNELS
        while rest:
            length = min(rest, 1 << _FIELDS[-1])
            rest -= length
            field = next(k for k, bits in enumerate(_FIELDS) if length <= 1 << bits)
            parts += [
                "1",
                f"{field:02b}",
                f"{length - 1:0{_FIELDS[field]}b}",
                "1" * 8 if position & 1 else "0" * 8,
            ]
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
