"""From what people type to a list of image files, and from those to names for what is written."""

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pansight.files import printable as printable

# Light on purpose: a mistyped path is reported before torch is even imported.

SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif",
        ".avif", ".avifs", ".jp2", ".j2k", ".jpx", ".mpo", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx",
        ".qoi", ".sgi",
    )
)  # fmt: skip
"""What a file in a folder must be called to be taken for an image; letter case does not matter."""

_LONGEST_NAME = 180
"""Bytes of an output name: file systems allow 255, temporary names and suffixes need some."""


def find_pictures(arguments: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Expand files, folders and patterns, in the order given; each file once.

    A folder stands for the images directly in it, by suffix and sorted by name, hidden ones left out. What
    does not exist and holds `*`, `?` or `[` is a pattern (`**` looks into folders below). Files are not
    opened: one that is missing or broken is in the list.

    Returns the files and, for every argument that stands for nothing, one line that says so.
    """
    found: dict[str, Path] = {}
    problems: list[str] = []
    for argument in arguments:
        for path in _expand(argument, problems):
            found.setdefault(os.path.abspath(path), path)  # noqa: PTH100  (resolve() would follow links)
    return list(found.values()), problems


def _expand(argument: str, problems: list[str]) -> list[Path]:
    path = Path(argument)
    if not argument:
        problems.append("'': empty name; give an image or '.' for this folder")
        return []
    if "://" in argument:
        problems.append(f"{printable(argument)}: URLs are not read; download it and give the file")
        return []
    if os.path.isdir(path):  # noqa: PTH112  (names that are too long raise no error here)
        return _folder(path, problems)
    if os.path.lexists(path) or not glob.has_magic(argument):
        return [path]
    pattern = os.path.expanduser(argument)  # noqa: PTH111  (the shell leaves quoted patterns alone)
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
    if "**" in argument:  # it names the folders that it looks into, too
        matches = [match for match in matches if match.suffix.lower() in SUFFIXES]
    if not matches:
        problems.append(f"{printable(argument)}: nothing matches this pattern; check it")
    return [file for match in matches for file in (_folder(match, problems) if match.is_dir() else [match])]


def _folder(folder: Path, problems: list[str]) -> list[Path]:
    name = printable(folder)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(f"{name}: cannot be listed ({error.strerror}); check its permissions")
        return []
    pictures = [e for e in entries if e.suffix.lower() in SUFFIXES and not e.name.startswith(".")]
    if not pictures:
        problems.append(f"{name}: no images in this folder; for folders below it give '{name}/**/*.jpg'")
    return pictures


def output_names(pictures: Sequence[Path]) -> list[str]:
    """A different name without suffix for each image, whatever the letter case.

    It is the image's own; where several share it (a/x.jpg, b/x.jpg) the folder is put before (a_x, b_x),
    and where that does not help, a number behind (a_x_2).
    """
    keys = [_key(_shortened(picture.stem)) for picture in pictures]
    shared = Counter(keys)
    taken = {key for key in keys if shared[key] == 1}
    names = []
    for picture, key in zip(pictures, keys, strict=True):
        name = _shortened(picture.stem)
        if shared[key] > 1:
            folder = Path(os.path.abspath(picture)).parent.name  # noqa: PTH100
            name = wanted = _shortened(f"{folder}_{picture.stem}" if folder else picture.stem)
            number = 1
            while _key(name) in taken:
                number += 1
                name = f"{wanted}_{number}"
            taken.add(_key(name))
        names.append(name)
    return names


def _key(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def relative_names(pictures: Sequence[Path]) -> list[str]:
    """Each image's path below the folder that all share, with forward slashes."""
    absolute = [os.path.abspath(picture) for picture in pictures]  # noqa: PTH100
    try:
        root = os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    except ValueError:  # several drives
        return [Path(path).as_posix() for path in absolute]
    return [Path(os.path.relpath(path, root)).as_posix() for path in absolute]


def image_ids(pictures: Sequence[Path]) -> list[int]:
    """COCO's ids where all names are different numbers (000000000139.jpg is 139), else 1, 2, 3 ..."""
    stems = [picture.stem for picture in pictures]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(pictures) + 1))


def _shortened(name: str) -> str:
    return name.encode(errors="surrogateescape")[:_LONGEST_NAME].decode(errors="ignore") or "picture"
