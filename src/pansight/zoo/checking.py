"""Whether the published files are available, unchanged, and fit the models that use them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pansight.errors import CheckpointError, DownloadError
from pansight.zoo.cache import checksum, weights_folder
from pansight.zoo.spec import ModelSpec, ReleasedFile


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The findings on one published file.

    `path`: in the cache, None where it could not be downloaded. `sha256` and `size` (bytes) of what is there.
    `fits`: the models it loads into, every key and shape; `problems`: a line for everything that is wrong.
    """

    file: ReleasedFile
    path: Path | None = None
    sha256: str | None = None
    size: int | None = None
    fits: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def is_new(self) -> bool:
        """Whether the table does not have the checksum or the size yet."""
        return self.path is not None and (self.file.sha256 is None or self.file.size is None)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.file.name,
            "url": self.file.url,
            "licence": self.file.licence,
            "cache": None if self.path is None else str(self.path),
            "sha256": self.sha256,
            "size": self.size,
            "fits": list(self.fits),
            "problems": list(self.problems),
        }


def files_of(specs: Iterable[ModelSpec]) -> dict[ReleasedFile, list[ModelSpec]]:
    """The published files of these models, each once, with the models that use it."""
    found: dict[ReleasedFile, list[ModelSpec]] = {}
    for spec in specs:
        for file in spec.weights:
            found.setdefault(file, []).append(spec)
    return found


def check_files(specs: Iterable[ModelSpec], folder: Path | None = None) -> Iterator[FileCheck]:
    """Fetch every published file of these models into the cache (`folder` if given), and try it.

    Downloads resume where they broke, and existing files are not fetched again. No error is
    raised for a file: its faults are in its `problems`.
    """
    for file, users in files_of(specs).items():
        yield _check(file, users, folder or weights_folder())


def _check(file: ReleasedFile, users: Sequence[ModelSpec], folder: Path) -> FileCheck:
    from pansight.zoo.download import fetch
    from pansight.zoo.official import load_official, read_state

    try:
        path = fetch(file, folder)
    except DownloadError as error:
        return FileCheck(file, problems=(str(error),))
    size, digest = path.stat().st_size, checksum(path)
    problems = []
    if file.size is not None and size != file.size:
        problems.append(f"{path} has {size} bytes where {file.size} were published; delete it and try again")
    fits = []
    try:
        state = read_state(path)
    except CheckpointError as error:
        return FileCheck(file, path, digest, size, problems=(*problems, str(error)))
    for spec in users:
        try:
            load_official(spec, state, path)
        except CheckpointError as error:
            problems.append(str(error))
        else:
            fits.append(spec.name)
    return FileCheck(file, path, digest, size, tuple(fits), tuple(problems))
