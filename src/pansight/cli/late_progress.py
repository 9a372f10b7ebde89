"""A progress bar that appears with the first result: the worker processes start before its thread does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def late_progress(console: "Console", doing: str) -> Iterator[Callable[[int, int], None]]:
    """Give what to call with (done, in all); the bar appears at the first call, and disappears at the end."""
    from pansight.cli.progress import progress_bar

    bar = progress_bar(console)
    task = bar.add_task(doing, total=None)

    def advance(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()
