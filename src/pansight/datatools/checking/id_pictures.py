"""The panoptic PNG of one image, read even where it is stored in a way that readers must refuse."""

import io
from collections.abc import Set
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32
from PIL import Image

from pansight.data.folders import Source
from pansight.data.pictures import reason_of
from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.errors import DataError
from pansight.formats.coco_files import BROKEN_PICTURE, decode_ids
from pansight.panoptic.ids import ID_LIMIT, rgb_to_ids

_LOSSY = ("JPEG", "MPO", "JPEG2000")


class IdPicture(NamedTuple):
    """The ids of a panoptic PNG, and whether its file must be rewritten to hold them properly."""

    ids: Int32[np.ndarray, "h w"]
    rewrite: bool


def read_id_picture(source: Source | None, listed: Set[int], notes: Notes) -> IdPicture | None:
    """Read a panoptic PNG; None when it holds no ids. `listed`: the ids that it should hold."""
    if source is None:
        notes.add(kinds.LABELS_MISSING, "no such file")
        return None
    try:
        content = source.read_bytes()
        with Image.open(io.BytesIO(content)) as picture:
            mode, form = picture.mode, picture.format
            if mode in ("RGB", "RGBA"):
                stored = None
            else:
                stored = np.asarray(picture)
                painted = np.asarray(picture.convert("RGB")) if mode == "P" else None
        if form in _LOSSY:
            notes.add(kinds.LABELS_LOSSY, f"stored as {form}")
        if stored is None:
            ids = decode_ids(content, "")
            if mode == "RGBA":
                notes.add(kinds.LABELS_ALPHA, "mode RGBA", fixable=True)
            restored = _restored(ids, listed, notes)
            return IdPicture(ids if restored is None else restored, mode == "RGBA" or restored is not None)
    except DataError as error:
        notes.add(kinds.LABELS_BROKEN, reason_in(error, notes.file))
        return None
    except BROKEN_PICTURE as error:
        notes.add(kinds.LABELS_BROKEN, f"cannot be read ({reason_of(error)})")
        return None
    meant = None
    if painted is not None:
        meant = _if_listed(rgb_to_ids(painted), listed)
    if meant is None and stored.ndim == 2 and stored.dtype != np.bool_:
        meant = _if_listed(stored, listed)
    where = "its values are the listed ids" if meant is not None else "its values are not the listed ids"
    notes.add(kinds.LABELS_MODE, f"mode {mode}; {where}", fixable=meant is not None)
    return None if meant is None else IdPicture(meant, True)


def _restored(
    ids: Int32[np.ndarray, "h w"], listed: Set[int], notes: Notes
) -> Int32[np.ndarray, "h w"] | None:
    """The ids in the right order of channels where they were written in another one; None where they fit.

    Taken for such only if all that the PNG holds is listed then, and nothing of it as it stands.
    """
    found = set(np.unique(ids).tolist()) - {0}
    if not found or not listed:
        return None
    orders = (
        ("blue, green, red (BGR)", (ids & 255) << 16 | ids & 0xFF00 | ids >> 16),
        ("one channel, gray saved as RGB", ids & 255),
    )
    for words, other in orders:
        # An id that reads alike in both orders says nothing.
        telling = {id for id in found if id >> 16 != id & 255 or words.startswith("one")}
        if words.startswith("one") and any(id % 0x010101 for id in found):
            continue
        meant = set(np.unique(other).tolist()) - {0}
        if telling and not telling & listed and meant <= listed:
            notes.add(kinds.LABELS_SWAPPED, f"its ids are the listed ones read as {words}", fixable=True)
            return np.ascontiguousarray(other, dtype=np.int32)
    return None


def reason_in(error: DataError, file: str) -> str:
    """What is wrong, without the file, which a report names anyway, and without advice."""
    return str(error).removeprefix(file).removeprefix(": ").partition(";")[0]


def _if_listed(values: np.ndarray, listed: Set[int]) -> Int32[np.ndarray, "h w"] | None:
    """The values as ids if there are some, and all of them are listed."""
    found = {int(value) for value in np.unique(values)} - {0}
    if not found or not found <= listed or max(found) >= ID_LIMIT or min(found) < 0:
        return None
    return np.ascontiguousarray(values, dtype=np.int32)
