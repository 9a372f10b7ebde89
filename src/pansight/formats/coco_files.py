"""Reading the two files of the COCO panoptic format: the JSON and the PNG of segment ids.

Source: https://cocodataset.org/#format-data, section 4. Both the data sets and the evaluator use this.
"""

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32
from PIL import Image, UnidentifiedImageError

from pansight.errors import DataError
from pansight.formats.inflating import repacked
from pansight.formats.pixel_words import pixel_words
from pansight.panoptic.coco import is_crowd_flag as is_crowd_flag

BROKEN_PICTURE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for files that are not images, or are damaged."""


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a COCO-style JSON file: an object with a list `annotations`.

    Raises DataError, naming the file, when it cannot be read or is something else.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({error}); give a COCO panoptic JSON") from error
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise DataError(f'{path}: no list "annotations" in it; give a COCO panoptic JSON')
    return content


def is_instances_file(content: dict[str, Any]) -> bool:
    """Whether the content of a JSON is COCO instances: objects with masks or boxes, one per annotation."""
    rows = content["annotations"][:1]
    return bool(rows) and all(
        isinstance(row, dict)
        and "segments_info" not in row
        and "image_id" in row
        and ("segmentation" in row or "bbox" in row)
        for row in rows
    )


def picture_folder(json_path: str | os.PathLike[str], folder: str | os.PathLike[str] | None) -> Path:
    """The folder of the panoptic PNGs: `folder`, by default next to the JSON, with its name."""
    return Path(folder) if folder is not None else Path(json_path).with_suffix("")


def spellings(name: str) -> tuple[str, ...]:
    """How the file that a JSON calls `name` may be spelled: as it is, or, written on Windows, with other
    slashes."""
    return (name, name.replace("\\", "/")) if "\\" in name else (name,)


def misplaced_hint(folder: str | os.PathLike[str], name: str) -> str:
    """The hint for a missing file: that it is in the folder without the path before its name.

    For names that are absolute, an address, or begin with folders that do not exist; else nothing.
    """
    base = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if base in ("", name) or not os.path.isfile(os.path.join(folder, base)):  # noqa: PTH113, PTH118
        return ""
    return f" ({base} lies in {os.fspath(folder)}: list file names relative to that folder)"


def id_picture_path(folder: str | os.PathLike[str], name: str) -> Path:
    """The PNG of ids that a JSON calls `name`: as it is, with slashes for backslashes, or ending in .png."""
    for spelled in spellings(name):
        for path in (Path(folder) / spelled, (Path(folder) / (spelled or "x")).with_suffix(".png")):
            if os.path.isfile(path):  # noqa: PTH113  (no error for names that are too long)
                return path
    return Path(folder) / name


def read_ids(path: str | os.PathLike[str]) -> Int32[np.ndarray, "h w"]:
    """Decode the PNG of one image: id = R + 256 G + 65536 B at each pixel, 0..2**24-1; alpha is ignored.

    Raises DataError, naming the file, when it is missing or damaged, or is a palette, gray or 16-bit gray
    image, which cannot hold such ids.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {_whereabouts(Path(path))}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); replace the file") from error
    except ValueError as error:  # a null byte in it, or half of a character
        raise DataError(f"{str(path)!r}: not a file name ({error}); correct it") from error
    return decode_ids(content, str(path))


def _whereabouts(path: Path) -> str:
    """What to say of a PNG that is not there: where one of its name lies above; else where to look."""
    base = path.name.replace("\\", "/").rpartition("/")[2]
    for folder in path.parents[:4]:
        if folder / base != path and os.path.isfile(folder / base):  # noqa: PTH113  (names that are too long)
            return f"{base} lies in {folder}: list file names relative to that folder"
    return "check the folder of the panoptic PNGs"


def decode_ids(content: bytes, name: str) -> Int32[np.ndarray, "h w"]:
    """Decode the bytes of a PNG as `read_ids` does; `name` is for messages."""
    try:
        with Image.open(io.BytesIO(repacked(content))) as picture:
            if picture.mode not in ("RGB", "RGBA"):
                raise DataError(
                    f"{name}: an image of mode {picture.mode} holds no segment ids; "
                    "save it as 8-bit RGB with id = R + 256 G + 65536 B"
                )
            with pixel_words(picture) as words:
                ids: np.ndarray = words & np.uint32(0xFFFFFF)
    except BROKEN_PICTURE as error:
        reason = _reason(error)
        raise DataError(f"{name}: cannot be read ({reason}); replace the file") from error
    return ids.view(np.int32)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image"  # Pillow's own words name a buffer in memory.
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
