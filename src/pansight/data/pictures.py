"""Reading the image of a sample, at the size and orientation of its labels."""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import UnidentifiedImageError

from pansight.data.folders import Source
from pansight.errors import DataError, InputError
from pansight.formats.images import AsLabelled, read_stream


def read_picture(
    path: str | os.PathLike[str] | Source, height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image of a data set as RGB, 0..255, as prediction does (`pansight.formats.images`).

    `path` may also be a file in an archive. The image must be `height` x `width`, as its labels are; see
    AsLabelled for its orientation. Raises DataError, naming the file, when it is missing, damaged or of
    another size.
    """
    content = io.BytesIO(read_file(path, "images"))
    try:
        # a copy: what Pillow gives may not be written to
        return np.array(read_stream(content, str(path), AsLabelled(height, width)))
    except InputError as error:
        raise DataError(str(error)) from error


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
    """What Pillow says of a broken image, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image"  # Pillow's own words name a buffer in memory.
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
