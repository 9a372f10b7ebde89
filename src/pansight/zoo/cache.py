"""Where downloaded weights are kept, and whether they are still intact.

Next to each file `NAME` is `NAME.sha256`, in the form that `sha256sum --check` reads.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pansight.errors import DownloadError, InputError
from pansight.files import atomic_write
from pansight.zoo.reasons import first_line

if TYPE_CHECKING:
    from pansight.zoo.spec import ReleasedFile


def home() -> Path:
    """Pansight's folder: the environment variable PANSIGHT_HOME, else the platform's cache."""
    chosen = os.environ.get("PANSIGHT_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pansight"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pansight"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pansight"


def weights_folder() -> Path:
    """The folder that downloads go to."""
    return home() / "weights"


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def record_path(path: Path) -> Path:
    """Where the checksum of `path` is kept."""
    return path.with_name(path.name + ".sha256")


def record(path: Path, digest: str) -> None:
    """Keep the checksum of `path`."""
    with atomic_write(record_path(path)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")


def expected_checksum(path: Path, file: "ReleasedFile") -> str | None:
    """What the checksum must be: the published one, else the one kept at the first download, else unknown."""
    if file.sha256 is not None:
        return file.sha256.lower()
    try:
        words = record_path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0].lower() if words and len(words[0]) == 64 else None


def is_intact(path: Path, file: "ReleasedFile") -> bool:
    """Whether the cached file is what was published or first downloaded.

    A file that was put there by hand, of which no checksum is known, is trusted and its checksum
    kept. Raises DownloadError when the file cannot be read.
    """
    try:
        digest = checksum(path)
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {first_line(error)}; check its permissions") from error
    expected = expected_checksum(path, file)
    if expected is None:
        with suppress(InputError):  # the folder may be there to be read only
            record(path, digest)
        return True
    return digest == expected


def weights_state(embedded: str | None, files: Sequence[str]) -> str:
    """Where a model's weights are, by the names of its files: embedded, cached, to download, or none."""
    if embedded is not None:
        return "embedded"
    if not files:
        return "none"
    return "cached" if (weights_folder() / files[0]).is_file() else "to download"
