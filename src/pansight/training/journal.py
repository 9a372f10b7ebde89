"""The log of a training: rows of text that survive crashes and resume without a gap or a repetition."""

import csv
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pansight.files import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


TABLES = ("training", "validation")


class Journal:
    """Writes `training.csv` and `validation.csv` in a folder, and TensorBoard's events where it is installed.

    Columns: `step`, `seconds` since the training began (pauses left out), then the values, which must have
    the same names in every row of a table. Rows after `step` (where a training resumes) are removed.

    Args:
        folder: exists.
        step: see above.
        active: False in processes that leave the writing to another.

    Attributes:
        latest: the last value of every name.
    """

    def __init__(self, folder: Path, step: int = 0, active: bool = True) -> None:
        self.folder = folder
        self.latest: dict[str, float] = {}
        self._active = active
        self._start = time.monotonic()
        self._elapsed = 0.0
        self._events: SummaryWriter | None = None
        if not active:
            return
        for table in TABLES:
            self._cut(folder / f"{table}.csv", step)
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils import tensorboard

            purge = step + 1 if step else None
            self._events = tensorboard.SummaryWriter(str(folder / "events"), purge_step=purge)

    def write(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Append a row to one of TABLES; it is in the file when this returns."""
        self.latest.update(values)
        if not self._active:
            return
        seconds = self._elapsed + time.monotonic() - self._start
        path = self.folder / f"{table}.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "seconds", *values])
            writer.writerow([step, f"{seconds:.1f}", *(f"{value:.6g}" for value in values.values())])
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{table}/{name}", value, step)

    def close(self) -> None:
        """Finish the events file."""
        if self._events is not None:
            self._events.close()

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
