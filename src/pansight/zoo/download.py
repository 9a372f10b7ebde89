"""Published weights into the cache: resumable, verified and atomic."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pansight.errors import DownloadError
from pansight.zoo.cache import checksum, is_intact, record, weights_folder
from pansight.zoo.reasons import first_line
from pansight.zoo.spec import ReleasedFile
from pansight.zoo.transfer import BrokenTransferError, Partial, RefusedTransferError, transfer

_log = logging.getLogger(__name__)


def fetch(
    file: ReleasedFile,
    folder: Path | None = None,
    *,
    attempts: int = 4,
    pause: float = 0.5,
    timeout: float = 30.0,
) -> Path:
    """The path of a published file in the cache; downloaded when it is not there, or no longer intact.

    A broken connection is resumed where it broke, in this call or in a later one: up to
    `attempts` times without progress, waiting `pause` seconds and then twice as long each time. A server
    that is silent for `timeout` seconds counts as broken. Processes that want the same file wait for one
    another. A damaged file is set aside as `NAME.damaged`.

    Nothing is printed. What happens goes to this module's logger: lines as INFO and WARNING, progress as
    DEBUG records with `download` (the file's name), `done` and `total` (bytes; None where unknown).

    Raises DownloadError: one line with the address, the place to put the file by hand, and what went wrong.
    """
    path = (folder or weights_folder()) / file.name
    if path.exists() and is_intact(path, file):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(path):
            if path.exists():
                if is_intact(path, file):
                    return path
                damaged = path.with_name(path.name + ".damaged")
                path.replace(damaged)
                _log.warning("%s is damaged; it is now %s, and is downloaded again", path, damaged.name)
            _download(file, path, attempts, pause, timeout)
    except OSError as error:
        raise DownloadError(
            f"cannot write {path}: {first_line(error)}; set PANSIGHT_HOME to another folder"
        ) from error
    return path


def _download(file: ReleasedFile, path: Path, attempts: int, pause: float, timeout: float) -> None:
    partial = Partial(path.with_name(path.name + ".part"), file.url)
    left, furthest = attempts, partial.size
    _log.info(
        "downloading %s (licence: %s)",
        file.url,
        file.licence,
        extra={"download": file.name, "done": 0, "total": file.size},
    )

    def report(done: int, total: int | None) -> None:
        extra = {"download": file.name, "done": done, "total": total}
        _log.debug("%s: %d bytes", file.name, done, extra=extra)

    while True:
        try:
            transfer(partial, report, timeout)
            break
        except RefusedTransferError as error:
            raise DownloadError(_by_hand(file, path, str(error))) from error
        except BrokenTransferError as error:
            if partial.size > furthest:
                left, furthest = attempts, partial.size
            left -= 1
            if left <= 0:
                raise DownloadError(_by_hand(file, path, str(error))) from error
            time.sleep(pause * 2 ** (attempts - left - 1))
    digest = checksum(partial.path)
    if file.sha256 is not None and digest != file.sha256.lower():
        partial.discard()
        raise DownloadError(
            f"{file.url} differs from the published file (SHA-256 {digest[:12]}..., "
            f"not {file.sha256[:12]}...); try again, and if that does not help, do not use the file"
        )
    # The record first: a crash in between leaves a record without a file, which the next download replaces.
    record(path, digest)
    partial.path.replace(path)
    partial.discard()


def _by_hand(file: ReleasedFile, path: Path, reason: str) -> str:
    return (
        f"cannot download {file.name} ({reason}); fetch {file.url} by other means and put it at {path} "
        "(the environment variable PANSIGHT_HOME moves this folder)"
    )


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Let one process at a time download to `path`; the system frees the lock when a process dies."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.info("another process is downloading %s; waiting for it", path.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
