"""A folder, local or of any object store that fsspec reaches, whose files are written atomically."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from pansight.errors import InputError, MissingExtraError
from pansight.files import require_extra
from pansight.runtime.inputs import printable

_WHOLE = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"))
"""Protocols whose files appear with their last byte; all others need a temporary name."""

_SCRATCH = ".fleet/tmp"


def open_address(address: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path in it; listings are never taken from a cache.

    Raises InputError for an unknown protocol, MissingExtraError where its package is not installed.
    """
    require_extra("fsspec", "fleet")
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(f"{printable(address)}: {error}") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{printable(address)}: address cannot be opened ({error}); check it") from error
    return system, path


def is_local(system: Any) -> bool:
    """Whether the file system is that of this machine."""
    return "file" in protocols(system)


def protocols(system: Any) -> tuple[str, ...]:
    """The names of a file system's protocol; the first is the usual one."""
    names = system.protocol
    return (names,) if isinstance(names, str) else tuple(names)


def address_of(system: Any, path: str) -> str:
    """The file's unique name: an absolute path, or a URL, whatever the spelling."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


class Store:
    """The folder that results go to.

        store = Store("s3://bucket/labels")
        store.put("index/part-0000000.parquet", content)

    Names are relative, with forward slashes. Threads may share a store; it can be pickled.

    Raises InputError when a file cannot be written.
    """

    def __init__(self, address: str | os.PathLike[str]) -> None:
        self.system, root = open_address(os.fspath(address))
        self.root = root.rstrip("/")
        self.local = is_local(self.system)

    @property
    def address(self) -> str:
        """The folder's path or URL."""
        return address_of(self.system, self.root)

    def path(self, name: str) -> str:
        """The path in the file system."""
        return f"{self.root}/{name}"

    def put(self, name: str, content: bytes) -> None:
        """Write a file, or replace it. When this returns, a power cut does not undo it on a local disk."""
        with self._errors(name):
            if self.local:
                with self._scratch(name, content) as temporary:
                    target = Path(self.path(name))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    temporary.replace(target)
                    _sync_folder(target.parent)
            elif protocols(self.system)[0] in _WHOLE:
                self.system.pipe_file(self.path(name), content)
            else:
                temporary_name = self.path(f"{_SCRATCH}/{secrets.token_hex(8)}")
                self.system.makedirs(temporary_name.rpartition("/")[0], exist_ok=True)
                self.system.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)
                self.system.pipe_file(temporary_name, content)
                self.system.mv(temporary_name, self.path(name))

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it is there; False where it is. Of several that try at once one succeeds, where
        the store can promise that (local disks, S3, Google Cloud Storage)."""
        with self._errors(name):
            try:
                if self.local:
                    with self._scratch(name, content) as temporary:
                        target = Path(self.path(name))
                        target.parent.mkdir(parents=True, exist_ok=True)
                        os.link(temporary, target)
                        _sync_folder(target.parent)
                else:
                    self.system.pipe_file(self.path(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError where there is none."""
        return bytes(self.system.cat_file(self.path(name)))

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return bool(self.system.exists(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none if the folder does not exist."""
        try:
            rows = self.system.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(row).rstrip("/").rpartition("/")[2] for row in rows)

    def remove(self, name: str) -> None:
        """Remove a file; it may already be gone."""
        with contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.path(name))

    def tidy(self) -> None:
        """Remove what writers that were killed left unfinished; to be called when there are no writers."""
        with contextlib.suppress(FileNotFoundError):
            self.system.rm(self.path(_SCRATCH), recursive=True)

    @contextlib.contextmanager
    def _scratch(self, name: str, content: bytes) -> Any:
        """A local file with the content, safe on the disk, under a name of its own."""
        folder = Path(self.path(_SCRATCH))
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Any:
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:  # each store has errors of its own
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            place = printable(f"{self.address}/{name}")
            raise InputError(
                f"cannot write {place}: {reason}; free space or choose another --output"
            ) from error


def _sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut, where the system can promise that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
