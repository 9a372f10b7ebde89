"""What users type for a video, and what may be shown of it."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pansight.errors import InputError

Kind: TypeAlias = Literal["file", "camera", "stream", "images", "stdin"]

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts",
        ".wmv", ".flv", ".f4v", ".3gp", ".ogv", ".mxf", ".vob", ".y4m", ".h264", ".h265", ".hevc", ".gif",
        ".apng",
    )
)  # fmt: skip
"""What a file must be called to be taken for a video; letter case does not matter."""

_MAY_BE_IMAGES = frozenset((".gif", ".apng"))

_PHOTOGRAPHS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")

_CREDENTIALS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@'\"]*@")

_SECRET_VALUES = re.compile(
    r"(?i)(?P<key>[?&;](?:[^=&\s]*(?:pass|pwd|token|secret|key|auth|sig|user|login|credential)[^=&\s]*)=)[^&\s'\"]*"
)


def redacted(text: str) -> str:
    """The text without user names, passwords and tokens of any address in it.

    >>> redacted("rtsp://admin:1234@camera/live?token=abc&size=4")
    'rtsp://***@camera/live?token=***&size=4'
    """
    return _SECRET_VALUES.sub(r"\g<key>***", _CREDENTIALS.sub(r"\g<scheme>***@", text))


@dataclass(frozen=True)
class Location:
    """Where a video comes from. `name` may be shown and is a name for files; `address` may hold a password.

    `files`: of `images`, in order.
    """

    kind: Kind
    address: str
    name: str
    files: tuple[Path, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether frames arrive at their own pace and only once."""
        return self.kind in ("camera", "stream")

    @property
    def shown(self) -> str:
        """The address for messages, without credentials, in one line."""
        text = redacted(self.address)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    def __repr__(self) -> str:
        return f"Location({self.kind}: {self.shown})"


def is_video(argument: str) -> bool:
    """Whether an input of `pansight predict` is a video by its looks; GIFs are, if they move."""
    if argument == "-" or (argument.isascii() and argument.isdigit() and not Path(argument).exists()):
        return True
    if _SCHEME.match(argument):
        # the address of a photograph is not a stream: `predict` says to download it
        path = urlsplit(argument).path
        return not (argument.lower().startswith("http") and Path(path).suffix.lower() in _PHOTOGRAPHS)
    suffix = Path(argument).suffix.lower()
    if suffix in _MAY_BE_IMAGES:
        return _moves(Path(argument))
    return suffix in VIDEO_SUFFIXES and not glob.has_magic(argument)


def locate(argument: str) -> Location:
    """What an argument stands for.

    `-`: standard input; a number: a camera; an address with a scheme (rtsp://, http://, udp:// ...): a
    stream; a folder, or a quoted pattern of images: their frames, sorted by name; else a file.

    Raises InputError, in one line that shows no password, where there is nothing to read.
    """
    if argument == "-":
        return Location("stdin", "-", "stdin")
    if argument.isascii() and argument.isdigit() and not Path(argument).exists():
        return Location("camera", argument, f"camera-{int(argument)}")
    if _SCHEME.match(argument):
        return Location("stream", argument, _stream_name(argument))
    path = Path(argument)
    if path.is_dir() or (glob.has_magic(argument) and not path.exists()):
        from pansight.runtime.inputs import find_pictures

        files, problems = find_pictures([argument])
        if problems or not files:
            raise InputError(problems[0] if problems else f"{argument}: no images in it")
        folder = files[0].parent.name if len({file.parent for file in files}) == 1 else ""
        return Location(
            "images", argument, _clean(path.name if path.is_dir() else folder or "frames"), tuple(files)
        )
    if path.suffix.lower() not in VIDEO_SUFFIXES and path.is_file() and _is_image(path):
        return Location("images", argument, _clean(path.stem), (path,))
    if not path.exists():
        raise InputError(f"{argument}: no such file; check the path")
    return Location("file", argument, _clean(path.stem))


def unique_names(locations: list[Location]) -> list[str]:
    """A different name for each, whatever the letter case: its own, or with a number behind."""
    taken: set[str] = set()
    names = []
    for location in locations:
        name, number = location.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{location.name}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _stream_name(address: str) -> str:
    rest = redacted(address).split("://", 1)[1].replace("***@", "").split("?", 1)[0]
    return _clean(rest)


def _clean(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:120] or "video"


def _is_image(path: Path) -> bool:
    from pansight.runtime.inputs import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _moves(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # the reader reports whatever is wrong with it
        return False
