"""Folders of files, on disk or inside a zip archive that is read in place.

Source of the archive's layout: PKWARE, .ZIP File Format Specification, sections 4.3.7 and 4.4.
"""

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np

from pansight.errors import DataError
from pansight.formats.coco_files import spellings

PathLike = str | os.PathLike[str]

_LOCAL_HEADER = 30
"""Bytes before the name that an entry of an archive repeats"""
_STORED, _DEFLATED = 0, 8


@runtime_checkable
class Source(Protocol):
    """A file that can be read: a Path, or a file in an archive. As text it is what messages call it."""

    def read_bytes(self) -> bytes: ...


@runtime_checkable
class Folder(Protocol):
    """A folder of files. As text it is what messages call it."""

    def find(self, name: str) -> Source | None:
        """The file at a path relative to the folder; None when it is not there.

        Slashes go forwards; a name with backslashes that is not there is tried with slashes instead.
        """

    def listing(self, ending: str) -> list[str]:
        """The relative paths of all files below the folder whose names end so, in order."""


@dataclass(frozen=True)
class DiskFolder:
    """A folder on disk."""

    path: Path

    def find(self, name: str) -> Path | None:
        for spelled in spellings(name):
            path = self.path / spelled
            if os.path.isfile(path):  # noqa: PTH113  (no error for names that are too long)
                return path
        return None

    def listing(self, ending: str) -> list[str]:
        found = []
        for place, _, names in os.walk(self.path, followlinks=True):
            within = Path(place).relative_to(self.path)
            found += [(within / name).as_posix() for name in names if name.endswith(ending)]
        return sorted(found)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class ZippedFile:
    """One file in an archive: where its bytes begin, how many they are packed and unpacked, their CRC-32."""

    archive: Path
    name: str
    offset: int
    packed: int
    size: int
    method: int
    crc: int

    def read_bytes(self) -> bytes:
        """The content. Opens and closes the archive, so threads and forked processes never share a handle.

        Raises DataError when the archive is damaged or was replaced.
        """
        try:
            with self.archive.open("rb") as file:
                file.seek(self.offset)
                header = file.read(_LOCAL_HEADER)
                if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
                    raise DataError(
                        f"{self}: is not where the archive's index says; the archive is damaged, or was "
                        "replaced"
                    )
                file.seek(sum(struct.unpack("<HH", header[26:30])), os.SEEK_CUR)
                content = file.read(self.packed)
        except OSError as error:
            raise DataError(
                f"{self}: cannot be read ({error.strerror or error}); check the archive"
            ) from error
        try:
            if self.method == _DEFLATED:
                # One byte more than there should be shows what claims to be smaller than it is.
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
        except zlib.error as error:
            raise DataError(f"{self}: is damaged ({error}); fetch the archive again") from error
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise DataError(f"{self}: is damaged (wrong size or checksum); fetch the archive again")
        return content

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


class ZipFolder:
    """A zip archive, or a folder in it, as a folder.

    A file is found by its path from any folder of the archive on, as long as that is one file: `a.jpg` finds
    train2017/a.jpg. The list of files is read once; in memory it takes about 200 bytes per file.
    """

    def __init__(self, archive: PathLike, inside: str = "") -> None:
        """Raises DataError when the archive cannot be read, or uses encryption or uncommon compression."""
        self.archive = Path(archive)
        self.inside = f"{inside.strip('/')}/" if inside.strip("/") else ""
        rows: list[tuple[int, ...]] = []
        self._first: dict[str, int] = {}
        places: dict[str, int] = {}
        for entry in self._entries():
            place, slash, name = entry.filename.rpartition("/")
            # The last of the same name comes first; each row knows the next one.
            number = places.setdefault(place + slash, len(places))
            rows.append((self._first.get(name, -1), number, entry.header_offset, entry.compress_size,
                         entry.file_size, entry.compress_type, entry.CRC))  # fmt: skip
            self._first[name] = len(rows) - 1
        self._places = list(places)
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 7)

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._rows)

    def find(self, name: str) -> ZippedFile | None:
        """The file at this path below any folder. Raises DataError when there are several."""
        for spelled in spellings(name):
            found = self._find(spelled)
            if found is not None:
                return found
        return None

    def _find(self, name: str) -> ZippedFile | None:
        wanted = str(PurePosixPath(name))
        base = wanted.rpartition("/")[2]
        found = []
        row = self._first.get(base, -1)
        while row >= 0:
            following, place, *rest = self._rows[row].tolist()
            full = self._places[place] + base
            if full == self.inside + wanted:
                return ZippedFile(self.archive, full, *rest)
            if f"/{full}".endswith(f"/{wanted}"):
                found.append(ZippedFile(self.archive, full, *rest))
            row = following
        if len(found) > 1:
            raise DataError(
                f"{self}: has {found[1].name} and {found[0].name}; name the folder in the archive, such as "
                f"{PurePosixPath(str(found[1])).parent}"
            )
        return found[0] if found else None

    def listing(self, ending: str) -> list[str]:
        names = []
        for base, row in self._first.items():
            while row >= 0 and base.endswith(ending):
                following, place = self._rows[row, :2].tolist()
                names.append((self._places[place] + base).removeprefix(self.inside))
                row = following
        return sorted(names)

    def __str__(self) -> str:
        return f"{self.archive}/{self.inside}".removesuffix("/")

    def _entries(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self.archive) as archive:
                entries = archive.infolist()
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise DataError(
                f"{self.archive}: cannot be read as a zip archive ({error}); fetch it again"
            ) from error
        kept = [
            entry
            for entry in entries
            if entry.filename.startswith(self.inside)
            and not entry.is_dir()
            and not entry.filename.startswith("__MACOSX/")
        ]
        for entry in kept:
            if entry.flag_bits & 1 or entry.compress_type not in (_STORED, _DEFLATED):
                raise DataError(
                    f"{self.archive}/{entry.filename}: is encrypted or packed in an uncommon way; pack "
                    "the archive again, stored or deflated"
                )
        return kept


def open_folder(path: PathLike) -> Folder:
    """The folder at a path: on disk, a .zip archive, or a folder inside one (`train2017.zip/train2017`).

    Raises DataError when there is none.
    """
    path = Path(path)
    if path.is_dir():
        return DiskFolder(path)
    for archive in (path, *path.parents):
        if archive.is_file():
            folder = ZipFolder(archive, path.relative_to(archive).as_posix() if archive != path else "")
            if len(folder) == 0:
                raise DataError(f"{path}: no files in it; check the path")
            return folder
    raise DataError(f"{path}: no such folder or .zip archive; check the path")


def existing_folder(*paths: Path) -> Path | None:
    """The first of the paths that is a folder, or that with .zip added is an archive; None if none is."""
    for path in paths:
        if path.is_dir():
            return path
        archive = Path(f"{path}.zip")
        if archive.is_file():
            return archive
    return None
