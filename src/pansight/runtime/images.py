"""Any image, from anywhere, as upright 8-bit RGB - or one line that says why not."""

import os
import stat
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor

from pansight.errors import InputError
from pansight.formats.images import MAX_PIXELS as MAX_PIXELS
from pansight.formats.images import AsShown, decode, read_stream
from pansight.runtime.arrays import rgb_from_array, rgb_from_tensor
from pansight.runtime.inputs import printable

Picture: TypeAlias = str | os.PathLike[str] | Image.Image | Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."]
"""What can be segmented: a file, a Pillow image, an array [h, w, 3], a tensor [3, h, w]."""


def read_image(source: Picture, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image as RGB, 0..255.

    Files and Pillow images are turned upright by their EXIF orientation, so the result's sides may be
    swapped; of several frames or pages the first is taken, and a warning is logged; transparent pixels are
    laid on white; 16-bit gray is scaled, not clipped. Arrays are [h, w, 3] RGB, [h, w, 4] RGBA or [h, w]
    gray; tensors the same, channels first. Both are uint8 (0..255), uint16 (0..65535) or floats (0..1), and
    the result may share their memory.

    Raises InputError, one line that names the file: not there, empty, no image, damaged or cut short, or
    more than `max_pixels`, which is checked before anything is decoded.
    """
    if isinstance(source, np.ndarray):
        return rgb_from_array(source)
    if isinstance(source, Tensor):
        return rgb_from_tensor(source)
    if isinstance(source, Image.Image):
        return decode(source, "the image", AsShown(max_pixels))
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"a {type(source).__name__} is not an image; give a path, a Pillow image, an array or a tensor"
        )
    return _read_file(Path(source), max_pixels)


def _read_file(path: Path, max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    name = printable(path)
    check_file(path, name)
    try:
        with path.open("rb") as file:
            return read_stream(file, name, AsShown(max_pixels))
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); replace the file") from error


def check_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        fault = "a broken link; fix it" if path.is_symlink() else "no such file; check the path"
        raise InputError(f"{name}: {fault}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{name}: cannot be read ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name}: a folder, not an image; give the images in it")
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, maybe for ever
        raise InputError(f"{name}: not a regular file; copy the image to one")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty; replace it")
