"""Files appear whole or not at all; optional packages are asked for by the extra that brings them."""

import importlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pansight.errors import InputError, MissingExtraError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path next to `path`; move it there on success, remove it on any failure.

    The temporary name keeps the suffix of `path`, because writers such as Pillow choose the format by it.
    Parent folders are made. Raises InputError, naming `path`, when the folder cannot be written or the
    disk is full.
    """
    path = Path(path)
    # Short, because names are limited to 255 bytes; random, so that nobody else has it.
    temporary = path.parent / f".{secrets.token_hex(8)}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The system applies the umask. Asking for it would change it, for all threads, in between.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {path}: {reason}; free space or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise InputError now, not after an hour's work, where no file of that name can be written."""
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; name a file in it")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {path}; choose another file or folder")


def make_folder(folder: Path) -> None:
    """Make the folder and those above it. Raises InputError when that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot make the folder {printable(folder)}: {reason}; choose another") from error


def printable(path: str | os.PathLike[str]) -> str:
    """The path as one line: what a terminal cannot show is escaped."""
    text = os.fspath(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def require_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise MissingExtraError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{module} is not installed; run: pip install 'pansight[{extra}]'") from error
