"""Any picture, from anywhere, as upright 8-bit RGB - or one line that says why not."""

import os
import stat
import threading
from pathlib import Path
from typing import IO, Final, TypeAlias

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from pansight.errors import InputError
from pansight.runtime.arrays import bytes_from_words, on_white, rgb_from_array, rgb_from_tensor
from pansight.runtime.inputs import printable

Picture: TypeAlias = str | os.PathLike[str] | Image.Image | Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."]
"""What can be segmented: a file, a Pillow picture, an array [h, w, 3], a tensor [3, h, w]."""

MAX_PIXELS: Final = 100_000_000
"""Largest picture that is decoded unless the caller asks for more; a smaller file can claim any size."""

# Formats of photographs. Pillow knows more, but some of those run other programs (EPS: Ghostscript) or
# decode before anybody can ask for their size (ICO).
_FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000",
    "PPM", "TGA", "DIB", "PCX", "QOI", "SGI",
)  # fmt: skip

_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_opening = threading.Lock()


def read_image(source: Picture, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture as RGB, 0..255.

    Files and Pillow pictures are turned upright by their EXIF orientation, so the result's sides may be
    swapped; of several frames or pages the first is taken; transparent pixels are laid on white; 16-bit
    gray is scaled, not clipped. Arrays are [h, w, 3] RGB, [h, w, 4] RGBA or [h, w] gray; tensors the same,
    channels first. Both are uint8 (0..255), uint16 (0..65535) or floats (0..1), and the result may share
    their memory.

    Raises InputError, one line that names the file: not there, empty, no picture, damaged or cut short, or
    more than `max_pixels`, which is checked before anything is decoded.
    """
    if isinstance(source, np.ndarray):
        return rgb_from_array(source)
    if isinstance(source, Tensor):
        return rgb_from_tensor(source)
    if isinstance(source, Image.Image):
        return _decode(source, "the picture", max_pixels)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"a {type(source).__name__} is no picture; give a path, a Pillow picture, an array or a tensor"
        )
    return _read_file(Path(source), max_pixels)


def _read_file(path: Path, max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    name = printable(path)
    _check_file(path, name)
    try:
        with path.open("rb") as file, _open(file) as image:
            return _decode(image, name, max_pixels)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture of a known format; convert it to JPEG or PNG") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); replace the file") from error
    except Exception as error:  # what a damaged header makes a decoder raise is anybody's guess
        raise InputError(f"{name}: the file is damaged ({_reason(error)}); replace it") from error


def _check_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        fault = "a link to nothing; mend it" if path.is_symlink() else "no such file; check the path"
        raise InputError(f"{name}: {fault}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{name}: cannot be read ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name}: a folder, not a picture; give the pictures in it")
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, maybe for ever
        raise InputError(f"{name}: not an ordinary file; copy the picture to one")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty; replace it")


def _open(file: IO[bytes]) -> Image.Image:
    """Read the header alone. Pillow's own limit, warnings and all, is replaced by `max_pixels`."""
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            Image.init()
            return Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode(image: Image.Image, name: str, max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    width, height = image.size
    if width * height > max_pixels:
        raise InputError(
            f"{name}: {width} x {height} pixels, more than the limit of {max_pixels}; "
            "raise --max-pixels (max_pixels) if you trust it"
        )
    if width * height == 0:
        raise InputError(f"{name}: has no pixels; replace it")
    try:
        image.load()
        return np.asarray(_upright(_rgb(image, name), image))
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: {width} x {height} pixels do not fit into memory; shrink it") from error
    except Exception as error:  # there are as many kinds of error as decoders
        raise InputError(f"{name}: damaged or cut short ({_reason(error)}); replace it") from error


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_scaled(image, name)).convert("RGB")
    if image.has_transparency_data:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.replace("a", "A"))
        return on_white(image.convert("RGBA"))
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise InputError(f"{name}: pixels of mode {image.mode} cannot be shown; convert it to RGB") from error


def _scaled(image: Image.Image, name: str) -> UInt8[np.ndarray, "h w"]:
    """Gray of more than 8 bits as 8 bits; Pillow would clip it, which turns most of it white."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (np.isfinite(low) and low >= 0 and high <= 1):
            raise InputError(
                f"{name}: float pixels {low:g}..{high:g} have no known white; scale them to 0..1"
            )
        return (values * 255 + 0.5).astype(np.uint8)
    if low < 0 or high > 65535:
        raise InputError(f"{name}: pixels {low}..{high} have no known white; save it with 8 or 16 bits")
    return bytes_from_words(values)


def _upright(pixels: Image.Image, source: Image.Image) -> Image.Image:
    """`pixels` turned as the EXIF data of `source` asks; broken EXIF data asks for nothing."""
    try:
        turn = _UPRIGHT.get(source.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged remark is no damaged picture
        return pixels
    return pixels if turn is None else pixels.transpose(turn)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
