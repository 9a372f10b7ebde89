"""Images in zips and tars, by name and place, or as they stream by.

A WebDataset shard is a tar whose members come in samples: names that are equal up to the first dot of the
file name. `0001.jpg` with `0001.seg.png` is one image and its labels.
Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from pansight.errors import InputError
from pansight.fleet.listing import is_image_name, kind_of
from pansight.fleet.storage import is_local, open_address
from pansight.runtime.images import check_file
from pansight.runtime.inputs import printable

MAX_BYTES = 1 << 30
"""Largest file of an image, in bytes; a few bytes of a zip can claim any size."""

_WAITS = (0.5, 2.0, 8.0)
"""Seconds before a file of an object store is asked for again."""

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)
"""What damaged, encrypted and unknown containers raise."""

_Payload = TypeVar("_Payload")


class Member(NamedTuple):
    """An image in a container: its name, unique there; where its bytes are, in a tar on a disk."""

    name: str
    offset: int = -1
    size: int = -1


def zip_members(address: str) -> list[Member]:
    """The images of a zip, from its directory. Raises InputError, naming it, when there is none to read."""
    return [Member(name) for name in _zip(address)[1]]


def read_zip(address: str, name: str) -> bytes:
    """An image of a zip. Raises InputError, naming both, when it is damaged, encrypted or too large."""
    archive, infos = _zip(address)
    shown = printable(f"{address}::{name}")
    info = infos.get(name)
    if info is None:
        raise InputError(f"{shown}: no longer in the archive; restore it")
    if info.file_size > MAX_BYTES:
        raise _too_large(shown, info.file_size)
    try:
        return archive.read(info)
    except _BROKEN as error:
        raise InputError(f"{shown}: cannot be read ({error}); replace the archive") from error


@lru_cache(maxsize=4)
def _zip(address: str) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The archive, open, and its images by unique name. Threads may read from it: it has a lock."""
    system, path = open_address(address)
    try:
        archive = zipfile.ZipFile(system.open(path, "rb"))
    except FileNotFoundError:
        raise InputError(f"{printable(address)}: no such file; check the path") from None
    except _BROKEN as error:
        raise InputError(f"{printable(address)}: not a readable zip ({error}); replace it") from error
    rows = ((info.filename, info) for info in archive.infolist() if not info.is_dir())
    return archive, dict(_unique(images_of(rows)))


def tar_members(address: str) -> list[Member] | None:
    """The images of a tar, with their places; None for one that has to be read as it streams by: compressed,
    or not on this machine's disks.

    Raises InputError, naming it, when it cannot be read. Members after a damaged place are unknown.
    """
    system, path = open_address(address)
    if not is_local(system):
        return None
    try:
        with tarfile.open(path, "r:") as archive:
            rows = (
                (member.name, (member.offset_data, member.size))
                for member in archive
                if member.isreg() and not member.issparse()
            )
            return [Member(name, *place) for name, place in _unique(images_of(rows))]
    except tarfile.ReadError:
        return None  # compressed, empty or damaged: reading it as a stream will tell
    except _BROKEN as error:
        raise InputError(f"{printable(address)}: cannot be read ({error}); replace it") from error


def read_tar(address: str, member: Member) -> bytes:
    """An image of a tar on a disk. Raises InputError, naming both, when the tar is shorter than it was."""
    _, path = open_address(address)
    shown = printable(f"{address}::{member.name}")
    if member.size > MAX_BYTES:
        raise _too_large(shown, member.size)
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(member.offset)
            content = file.read(member.size)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read ({error.strerror}); restore the tar") from error
    if len(content) != member.size:
        raise InputError(f"{shown}: the tar is cut short; replace it")
    return content


def stream(address: str) -> Iterator[tuple[str, bytes | InputError]]:
    """Names, unique, and bytes of all images of a container, from its first to its last; an error where a
    single image is unreadable.

    Raises InputError, naming the container, where reading cannot continue, after the images before that
    place.
    """
    if kind_of(address) == "tar":
        yield from _stream_tar(address)
        return
    for member in zip_members(address):
        try:
            yield member.name, read_zip(address, member.name)
        except InputError as error:
            yield member.name, error


def _stream_tar(address: str) -> Iterator[tuple[str, bytes | InputError]]:
    system, path = open_address(address)
    shown = printable(address)

    def rows(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes | InputError]]:
        for member in archive:
            if not member.isreg() or not is_image_name(member.name):
                continue
            name = printable(f"{address}::{member.name}")
            if member.size > MAX_BYTES:
                yield member.name, _too_large(name, member.size)
            elif (file := archive.extractfile(member)) is not None:
                yield member.name, file.read()

    try:
        with system.open(path, "rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as archive:
            yield from _unique(images_of(rows(archive)))
    except FileNotFoundError:
        raise InputError(f"{shown}: no such file; check the path") from None
    except _BROKEN as error:
        raise InputError(f"{shown}: damaged or cut short ({error}); replace it") from error


def _too_large(shown: str, size: int) -> InputError:
    return InputError(f"{shown}: {size} bytes, more than the limit of {MAX_BYTES}; shrink it")


def images_of(rows: Iterable[tuple[str, _Payload]]) -> Iterator[tuple[str, _Payload]]:
    """Of members in their order, those that are images to segment.

    Where a sample has images with plain endings (`.jpg`) and others (`.seg.png`), the plain ones are meant.

    >>> [name for name, _ in images_of([("1.jpg", 0), ("1.seg.png", 0), ("1.json", 0), ("a.b.png", 0)])]
    ['1.jpg', 'a.b.png']
    """
    sample: list[tuple[str, _Payload]] = []
    key = None
    for name, payload in rows:
        if not is_image_name(name):
            continue
        if _sample_key(name) != key:
            yield from _meant(sample)
            sample, key = [], _sample_key(name)
        sample.append((name, payload))
    yield from _meant(sample)


def _meant(sample: list[tuple[str, _Payload]]) -> list[tuple[str, _Payload]]:
    plain = [row for row in sample if row[0].rpartition("/")[2].count(".") == 1]
    return plain or sample


def _sample_key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _unique(rows: Iterable[tuple[str, _Payload]]) -> Iterator[tuple[str, _Payload]]:
    """Members of one name told apart: a.jpg, a.jpg#2."""
    seen: dict[str, int] = {}
    for name, payload in rows:
        count = seen[name] = seen.get(name, 0) + 1
        yield (name if count == 1 else f"{name}#{count}"), payload


def read_file(address: str) -> bytes:
    """An image file, local or not; possible network failures are retried.

    Raises InputError, naming it, when it cannot be read.
    """
    system, path = open_address(address)
    shown = printable(address)
    if is_local(system):
        check_file(Path(path), shown)
    for wait in (*(() if is_local(system) else _WAITS), None):
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            raise InputError(f"{shown}: no such file; check the path") from None
        except Exception as error:  # each store has errors of its own
            if wait is None or isinstance(error, PermissionError):
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(
                    f"{shown}: cannot be read ({reason}); check the path and the access"
                ) from error
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")
