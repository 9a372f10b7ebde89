"""What the library logs, on the terminal: lines, and for downloads a bar."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pansight.cli.streams import note

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@contextmanager
def showing_downloads(console: "Console") -> Iterator[None]:
    """Inside, what Pansight logs goes to the console; progress only where that is a terminal."""
    logger = logging.getLogger("pansight")
    shown = _Shown(console)
    level = logger.level
    logger.addHandler(shown)
    logger.setLevel(logging.DEBUG if console.is_terminal else logging.INFO)
    try:
        yield
    finally:
        shown.close()
        logger.removeHandler(shown)
        logger.setLevel(level)


class _Shown(logging.Handler):
    """Draws the records of `pansight.zoo.download`."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None

    def emit(self, record: logging.LogRecord) -> None:
        """Move the bar by a record that tells how far a download is; print others, but none of debugging."""
        name = getattr(record, "download", None)
        if name is not None and self._console.is_terminal:
            self._draw(name, record.__dict__["done"], record.__dict__["total"])
        elif record.levelno >= logging.WARNING:
            note(self._console, record.getMessage())
        elif record.levelno >= logging.INFO:
            self._console.print(record.getMessage(), markup=False)

    def _draw(self, name: str, done: int, total: int | None) -> None:
        from rich import progress

        if self._bar is None:
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(name, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        if total is not None and done >= total:
            self.close()

    def close(self) -> None:
        """Let go of the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        super().close()
