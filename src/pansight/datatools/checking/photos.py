"""The images themselves: present, intact, of the size of their labels, and without duplicates."""

import hashlib
import io

import numpy as np
from PIL import Image, ImageOps

from pansight.data.folders import Source
from pansight.data.pictures import reason_of
from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.id_pictures import reason_in
from pansight.errors import DataError
from pansight.formats.coco_files import BROKEN_PICTURE

_TURNED = range(2, 9)
_EXIF_ORIENTATION = 0x0112


def check_photo(
    source: Source, labels: tuple[int, int] | None, notes: Notes
) -> tuple[tuple[int, int] | None, bytes]:
    """Decode an image completely, the only proof that it is intact; `labels`: the width and height of its
    labels.

    Gives the width and height at which it fits its labels, or else as stored, and the digest of its pixels,
    empty where it cannot be read. Images with equal digests show the same, however they are compressed.
    """
    try:
        with Image.open(io.BytesIO(source.read_bytes())) as stored:
            orientation = stored.getexif().get(_EXIF_ORIENTATION, 1)
            size = stored.size
            pixels = np.asarray(stored)
            if orientation in _TURNED:
                upright = ImageOps.exif_transpose(stored).size
    except DataError as error:
        notes.add(kinds.PICTURE_BROKEN, reason_in(error, notes.file))
        return None, b""
    except BROKEN_PICTURE as error:
        notes.add(kinds.PICTURE_BROKEN, f"cannot be read ({reason_of(error)})")
        return None, b""
    if orientation in _TURNED:
        notes.add(kinds.PICTURE_ROTATED, f"EXIF orientation {orientation}")
        if labels == upright:
            size = upright
    if labels is not None and labels != size:
        notes.add(
            kinds.PICTURE_SIZE,
            f"the image is {size[0]} x {size[1]} pixels, its labels {labels[0]} x {labels[1]}",
        )
    return size, digest(pixels)


def digest(pixels: np.ndarray) -> bytes:
    """A fingerprint of an image's pixels."""
    mark = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    mark.update(np.ascontiguousarray(pixels).data)
    return mark.digest()
