"""The log of a training: rows of text that survive crashes and resume without a gap or a repetition."""

import csv
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.errors import InputError
from pansight.files import atomic_write
from pansight.training.loggers import Logger

TABLES = ("training", "validation")


class Journal:
    """Writes `training.csv` and `validation.csv` in a folder, and informs the loggers.

    Columns: `step`, `seconds` since the training began (pauses left out), then the values, which must have
    the same names in every row of a table. Rows after `step` (where a training resumes) are removed.

    Args:
        folder: exists.
        step: see above.
        active: False in processes that leave the writing to another.
        loggers: receive every row and image.

    Attributes:
        latest: the last value of every name.
        warning: why rows could not be written; they are kept, and written with the next that can be.
    """

    def __init__(
        self, folder: Path, step: int = 0, active: bool = True, loggers: Sequence[Logger] = ()
    ) -> None:
        self.folder = folder
        self.latest: dict[str, float] = {}
        self.warning: str | None = None
        self._waiting: dict[str, list[list[str]]] = {table: [] for table in TABLES}
        self._active = active
        self._start = time.monotonic()
        self._elapsed = 0.0
        self._loggers = list(loggers)
        if not active:
            return
        for table in TABLES:
            self._cut(folder / f"{table}.csv", step)

    def write(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Append a row to one of TABLES; it is in the file when this returns, unless the disk is full."""
        self.latest.update(values)
        if not self._active:
            return
        seconds = self._elapsed + time.monotonic() - self._start
        self._waiting[table].append(
            [str(step), f"{seconds:.1f}", *(f"{value:.6g}" for value in values.values())]
        )
        try:
            self._append(self.folder / f"{table}.csv", ["step", "seconds", *values], self._waiting[table])
        except OSError as error:
            self.warning = f"step {step}: cannot write {table}.csv ({error.strerror or error}); free space"
            return
        self._waiting[table] = []
        self._tell(step, lambda logger: logger.figures(table, step, values))

    def _tell(self, step: int, act: Callable[[Logger], None]) -> None:
        """Let every logger do something; one that cannot, as the disk is full, is left alone from then on."""
        for logger in list(self._loggers):
            try:
                act(logger)
            except OSError as error:
                self.warning = f"step {step}: {type(logger).__name__} stops ({error.strerror or error})"
                self._loggers.remove(logger)

    def draw(self, name: str, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write an RGB image to `samples/NAME-step-<n>.png`, and hand it to the loggers."""
        if not self._active:
            return
        path = self.folder / "samples" / f"{name}-step-{step:08d}.png"
        try:
            with atomic_write(path) as temporary:
                Image.fromarray(image).save(temporary, compress_level=4)
        except InputError as error:
            self.warning = f"step {step}: {error}"
        self._tell(step, lambda logger: logger.image(name, step, image))

    @staticmethod
    def _append(path: Path, header: list[str], rows: list[list[str]]) -> None:
        text = io.StringIO(newline="")
        fresh = not path.exists() or not path.stat().st_size
        csv.writer(text).writerows([header, *rows] if fresh else rows)
        with path.open("ab") as file:
            before = file.tell()
            try:
                file.write(text.getvalue().encode())
                file.flush()
            except OSError:
                # of a row that is not whole nothing stays
                os.truncate(path, before)
                raise

    def close(self) -> None:
        """Let the loggers write what is left."""
        self._tell(0, lambda logger: logger.close())

    def _cut(self, path: Path, step: int) -> None:
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows[1:] if row and int(row[0]) <= step]
        if not kept:
            path.unlink()
            return
        self._elapsed = max(self._elapsed, float(kept[-1][1]))
        with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([rows[0], *kept])
