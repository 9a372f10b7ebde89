"""Files appear whole or not at all; optional packages are asked for by the extra that brings them."""

import importlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pansight.errors import InputError, MissingExtraError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path next to `path`; move it there on success, remove it on any failure.

    The temporary name keeps the suffix of `path`, because writers such as Pillow choose the format by it.
    Parent folders are made. A device or a pipe, such as /dev/stdout, is written to, not replaced. Raises
    InputError, naming `path`, when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    if _is_special(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / f"whole{path.suffix}"
            yield temporary
            _pour(temporary, path)
        return
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
    try:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; name a file in it")
        if _is_special(path):
            folder, reason = path, "no permission"
        else:
            folder = next(parent for parent in path.absolute().parents if parent.exists())
            reason = "no permission" if folder.is_dir() else f"{folder} is not a folder"
    except OSError as error:  # a name that is too long
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another name") from error
    if not os.access(folder, os.W_OK) or not (folder.is_dir() or folder == path):
        raise InputError(f"cannot write {path}: {reason}; choose another file or folder")


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe, or a name that the system has for one."""
    try:
        mode = path.stat().st_mode
    except OSError:  # there is none, or no name like it can be
        return False
    return path.parent == Path("/dev") or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _pour(source: Path, target: Path) -> None:
    own = {Path("/dev/stdout"): 1, Path("/dev/stderr"): 2}.get(target)
    try:
        sys.stdout.flush()
        # opened anew, a redirected output would be written from its start by the next print
        with (
            source.open("rb") as whole,
            target.open("ab") if own is None else os.fdopen(os.dup(own), "wb") as out,
        ):
            shutil.copyfileobj(whole, out)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}; choose another file") from error


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
