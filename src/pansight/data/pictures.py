"""Reading the picture of a sample, at the size and orientation of its labels."""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from pansight.data.folders import Source
from pansight.errors import DataError
from pansight.formats.coco_files import BROKEN_PICTURE


def read_picture(
    path: str | os.PathLike[str] | Source, height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a picture of a data set as RGB, 0..255; alpha is dropped, 16-bit gray keeps its upper byte.

    `path` may also be a file in an archive. The picture must be `height` x `width`, as its labels are. The
    EXIF orientation is applied, unless only the picture as stored has that size: then the labels were drawn
    on the stored one. Raises DataError, naming the file, when it is missing, damaged or of another size.
    """
    try:
        with Image.open(io.BytesIO(read_file(path, "pictures"))) as stored:
            upright = ImageOps.exif_transpose(stored)
            picture = stored if upright.size != (width, height) == stored.size else upright
            rgb = _as_rgb(picture)
    except BROKEN_PICTURE as error:
        raise DataError(f"{path}: cannot be read ({reason_of(error)}); replace the file") from error
    if rgb.shape[:2] != (height, width):
        raise DataError(
            f"{path}: the picture is {rgb.shape[1]} x {rgb.shape[0]} pixels, its labels {width} x {height}; "
            "take the picture that was labelled"
        )
    return rgb


def read_file(path: str | os.PathLike[str] | Source, what: str) -> bytes:
    """The content of a file. Raises DataError, naming it and the folder of `what`, when it cannot be had."""
    source = Path(path) if isinstance(path, str | os.PathLike) else path
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the folder of the {what}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); replace the file") from error


def reason_of(error: Exception) -> str:
    """What Pillow says of a broken picture, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture"  # Pillow's own words name a buffer in memory.
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _as_rgb(picture: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if picture.mode.startswith("I"):
        # Pillow would clip 16 bits to 8, which turns nearly everything white.
        gray = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    return np.array(picture.convert("RGB"))
