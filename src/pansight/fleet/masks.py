"""Panoptic PNGs of a shard: one file each, or all in one tar."""

import io
import re
import tarfile
import threading
from typing import Protocol, runtime_checkable

from pansight.fleet.storage import Store

FOLDER = "predictions"

_ODD = re.compile(r"[^\w.-]+", re.ASCII)
_LONGEST = 80


def mask_name(position: int, input: str) -> str:
    """The name of a map's file: its place in the shard, and the image's name.

    >>> mask_name(17, "/photos/rue de la paix.jpg")
    '000017_rue-de-la-paix.png'
    """
    base = input.rpartition("::")[2].rpartition("/")[2]
    stem = _ODD.sub("-", base.rpartition(".")[0] or base).replace(".", "-").strip("-")
    return f"{position:06d}_{stem[:_LONGEST] or 'image'}.png"


@runtime_checkable
class MaskWriter(Protocol):
    """Takes the PNGs of a shard, from several threads."""

    def add(self, name: str, content: bytes) -> str:
        """Take a PNG; returns its name in the index."""

    def finish(self) -> None:
        """Return when all of them are safe."""


class MaskFiles:
    """One file per map: predictions/SHARD/NAME."""

    def __init__(self, store: Store, shard: int) -> None:
        self._store, self._folder = store, f"{FOLDER}/{shard:09d}"

    def add(self, name: str, content: bytes) -> str:
        path = f"{self._folder}/{name}"
        self._store.put(path, content)
        return path

    def finish(self) -> None:
        """They are safe already."""


class MaskTar:
    """One tar for all: predictions/SHARD.tar, or SHARD-PIECE.tar; WebDataset reads it."""

    def __init__(self, store: Store, shard: int, piece: int | None) -> None:
        self._store = store
        self._path = f"{FOLDER}/{shard:09d}{'' if piece is None else f'-{piece:06d}'}.tar"
        self._contents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def add(self, name: str, content: bytes) -> str:
        with self._lock:
            self._contents[name] = content
        return f"{self._path}::{name}"

    def finish(self) -> None:
        if not self._contents:
            return
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in sorted(self._contents):
                entry = tarfile.TarInfo(name)
                entry.size = len(self._contents[name])
                archive.addfile(entry, io.BytesIO(self._contents[name]))
        self._store.put(self._path, buffer.getvalue())
