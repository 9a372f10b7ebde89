"""From command-line arguments to the images of an archive: one item per file, in a fixed order."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import has_magic
from typing import Any, Literal, TypeAlias

from pansight.fleet.manifests import is_manifest, read_manifest
from pansight.fleet.storage import address_of, is_local, open_address
from pansight.runtime.inputs import SUFFIXES, printable

Kind: TypeAlias = Literal["image", "zip", "tar"]

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""What a file must be called to be taken for a tar shard; letter case does not matter."""

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Item:
    """A file of the archive: an image, or a container of many. `address` is an absolute path or a URL."""

    kind: Kind
    address: str


@dataclass(frozen=True)
class Listing:
    """What arguments stand for, listed again on each iteration.

    Args:
        arguments: images, zips, tars, manifests, folders, patterns, WebDataset's braces
            (shards/{0000..0099}.tar); paths or URLs.
        leave_out: the address of a folder to skip: that of the results.

    Iterating gives items, and one line of text for every argument that matches nothing.
    """

    arguments: tuple[str, ...]
    leave_out: str = ""

    def __iter__(self) -> Iterator[Item | str]:
        for argument in self.arguments:
            for one in _braces(argument):
                yield from self._expand(one)

    def _expand(self, argument: str) -> Iterator[Item | str]:
        if not argument:
            yield "'': empty name; give an image or '.' for this folder"
            return
        system, path = open_address(argument)
        if is_local(system):
            path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  (links stay links)
        shown = printable(argument)
        if _is_folder(system, path):
            count = 0
            for item in self._walk(system, path):
                yield item
                count += 1
            if not count:
                yield f"{shown}: no images, zips or tars in this folder or below it"
        elif has_magic(path) and not system.exists(path):
            found = sorted(str(match) for match in system.glob(path) if not _is_hidden(str(match), path))
            if not found:
                yield f"{shown}: nothing matches this pattern; check it"
            for match in found:
                if _is_folder(system, match):
                    # `**` names the folders that it looks into, too
                    yield from () if "**" in path else self._walk(system, match)
                elif "**" not in path or _kind_in_folder(match) is not None:
                    yield from self._file(system, match)
        else:
            yield from self._file(system, path)

    def _file(self, system: Any, path: str) -> Iterator[Item | str]:
        if not is_manifest(path):
            yield Item(kind_of(path), address_of(system, path))
            return
        for entry in read_manifest(system, path):
            inner, place = open_address(entry)
            yield Item(kind_of(place), address_of(inner, place))

    def _walk(self, system: Any, folder: str) -> Iterator[Item]:
        """Images and containers in a folder and below, sorted, hidden ones and linked folders left out."""
        if address_of(system, folder).rstrip("/") == self.leave_out:
            return
        rows = {str(row["name"]).rstrip("/"): row for row in system.ls(folder, detail=True)}
        below = []
        for path in sorted(rows):
            row, name = rows[path], path.rpartition("/")[2]
            if name.startswith(".") or path == folder.rstrip("/"):
                continue
            if row["type"] == "directory":
                if not row.get("islink"):
                    below.append(path)
            elif (kind := _kind_in_folder(name)) is not None:
                yield Item(kind, address_of(system, path))
        for path in below:
            yield from self._walk(system, path)


def kind_of(name: str) -> Kind:
    """What a file is by its name; anything that is not a container is taken for an image."""
    lower = name.lower()
    if lower.endswith(".zip"):
        return "zip"
    return "tar" if lower.endswith(TARS) else "image"


def is_image_name(name: str) -> bool:
    """Whether a file is named like an image, and not hidden."""
    base = name.rpartition("/")[2]
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in SUFFIXES  # noqa: PTH122


def _kind_in_folder(name: str) -> Kind | None:
    kind = kind_of(name)
    return kind if kind != "image" or is_image_name(name) else None


def _is_hidden(match: str, pattern: str) -> bool:
    """Whether a pattern that names nothing hidden has matched something hidden."""
    return "/." in match and "/." not in pattern


def _is_folder(system: Any, path: str) -> bool:
    try:
        return bool(system.isdir(path))
    except Exception:  # no access, or no such bucket: opening the file reports it
        return False


def _braces(argument: str) -> Iterable[str]:
    """a{00..02}.tar is a00.tar, a01.tar, a02.tar, with as many digits as the first."""
    match = _BRACES.search(argument)
    if match is None:
        return (argument,)
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    before, after = argument[: match.start()], argument[match.end() :]
    return (expanded for number in numbers for expanded in _braces(f"{before}{number:0{len(first)}d}{after}"))
