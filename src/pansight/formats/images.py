"""The one reader of images: any file as 8-bit RGB, or one line that says why not.

Training and prediction read alike: transparent pixels are composited on white, 16-bit gray is scaled to
nearest, of several frames or pages the first is taken. In one thing they must differ, which two policies
name: prediction rotates an image as a viewer shows it (`AsShown`), training as its labels fit it
(`AsLabelled`).
"""

import importlib
import io
import logging
import struct
from dataclasses import dataclass
from typing import IO, Final, TypeAlias

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError

from pansight.errors import InputError

_log = logging.getLogger(__name__)

MAX_PIXELS: Final = 100_000_000
"""Largest image that is decoded unless the caller asks for more; a smaller file can claim any size."""

_FORMATS = {
    "JPEG": "Jpeg", "PNG": "Png", "WEBP": "WebP", "TIFF": "Tiff", "BMP": "Bmp", "GIF": "Gif", "AVIF": "Avif",
    "JPEG2000": "Jpeg2K", "PPM": "Ppm", "DIB": "Bmp", "PCX": "Pcx", "QOI": "Qoi", "SGI": "Sgi", "TGA": "Tga",
}  # fmt: skip
"""Formats of photographs, and Pillow's plugins for them. Pillow knows more, but some of those run other
programs (EPS: Ghostscript) or decode before their size can be checked (ICO)."""

_FRAMES = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats whose further frames or pages are images of their own. (In MPO, which phones write, they are depth
maps and the like.)"""

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


@dataclass(frozen=True)
class AsShown:
    """Prediction: upright by the EXIF orientation, at most `max_pixels`."""

    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class AsLabelled:
    """Training: `height` x `width`, as the labels are.

    Upright by the EXIF orientation, unless only the image as stored has that size: then the labels were
    drawn on the stored one.
    """

    height: int
    width: int


Policy: TypeAlias = AsShown | AsLabelled


def read_stream(file: IO[bytes] | io.BytesIO, name: str, policy: Policy) -> UInt8[np.ndarray, "h w 3"]:
    """The image in an open file, as RGB, 0..255.

    Raises InputError, one line that starts with `name`: no image, damaged or cut short, too large, or of
    another size than its labels. Sizes are checked before anything is decoded.
    """
    try:
        with open_header(file) as image:
            return decode(image, name, policy)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image of a known format; convert it to JPEG or PNG") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); replace the file") from error
    except Exception as error:  # a damaged header can make a decoder raise anything
        raise InputError(f"{name}: the file is damaged ({_reason(error)}); replace it") from error


def open_header(file: IO[bytes] | io.BytesIO) -> Image.Image:
    """Read the header alone, as `Image.open` does, but for Pillow's limit of pixels.

    That limit is a variable of the whole process. Lifting it for one file lifts it for all threads, so
    the formats are asked directly here, and the policy has a limit of its own.
    """
    start = file.read(16)
    for name, plugin in _FORMATS.items():
        try:
            importlib.import_module(f"PIL.{plugin}ImagePlugin")
        except ImportError:  # an older Pillow
            continue
        factory, accept = Image.OPEN[name]
        try:
            verdict = accept is None or accept(start)
            if not verdict or isinstance(verdict, str):  # a text says what this Pillow was built without
                continue
            file.seek(0)
            return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # by Pillow's custom: none of mine
            continue
    raise UnidentifiedImageError


def decode(image: Image.Image, name: str, policy: Policy) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a Pillow image as RGB, 0..255; errors are those of `read_stream`."""
    _check_size(image, name, policy)
    _remark_on_frames(image, name)
    try:
        image.load()
        pixels = np.asarray(_turned(_rgb(image, name), image, policy))
    except InputError:
        raise
    except MemoryError as error:
        size = f"{image.width} x {image.height}"
        raise InputError(f"{name}: {size} pixels do not fit into memory; shrink it") from error
    except Exception as error:  # there are as many kinds of error as decoders
        raise InputError(f"{name}: damaged or cut short ({_reason(error)}); replace it") from error
    if isinstance(policy, AsLabelled) and pixels.shape[:2] != (policy.height, policy.width):
        raise InputError(_misfit(name, pixels.shape[1], pixels.shape[0], policy))
    return pixels


def on_white(image: Image.Image) -> Image.Image:
    """The RGBA image as it looks on a white page, RGB.

    Dropping alpha would reveal hidden pixels, which are often noise.
    """
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def bytes_from_words(array: Shaped[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """0..65535 to 0..255, to nearest."""
    nearest: np.ndarray = (array.astype(np.uint32) + 128) // 257
    return nearest.astype(np.uint8)


def _check_size(image: Image.Image, name: str, policy: Policy) -> None:
    width, height = image.size
    if width * height == 0:
        raise InputError(f"{name}: has no pixels; replace it")
    if isinstance(policy, AsLabelled):
        if {width, height} != {policy.width, policy.height}:
            raise InputError(_misfit(name, width, height, policy))
    elif width * height > policy.max_pixels:
        raise InputError(
            f"{name}: {width} x {height} pixels, more than the limit of {policy.max_pixels}; "
            "raise --max-pixels (max_pixels) if you trust it"
        )


def _misfit(name: str, width: int, height: int, policy: AsLabelled) -> str:
    return (
        f"{name}: the image is {width} x {height} pixels, its labels {policy.width} x {policy.height}; "
        "take the image that was labelled"
    )


def _remark_on_frames(image: Image.Image, name: str) -> None:
    if image.format not in _FRAMES:
        return
    try:
        several = bool(getattr(image, "is_animated", False))
    except Exception:  # about frames that were not requested
        several = False
    if several:
        what = "pages" if image.format == "TIFF" else "frames"
        _log.warning("%s: has several %s; only the first is used", name, what)


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


def _turned(pixels: Image.Image, source: Image.Image, policy: Policy) -> Image.Image:
    """`pixels` turned as the EXIF data of `source` asks; broken EXIF data asks for nothing."""
    try:
        turn = _UPRIGHT.get(source.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged remark is not a damaged image
        return pixels
    if turn is None:
        return pixels
    upright = pixels.transpose(turn)
    if isinstance(policy, AsLabelled):
        labels = (policy.width, policy.height)
        return pixels if upright.size != labels == pixels.size else upright
    return upright


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
