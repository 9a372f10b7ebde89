"""Ctrl-C: one line that says what is left of the work, and exit code 130."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


@contextmanager
def told_when_stopped(left: str | Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C inside into "stopped by Ctrl-C; LEFT" on standard error and exit code 130.

    `left`: what is left of the work, or what is called to say so then.
    """
    try:
        yield
    except KeyboardInterrupt:
        from rich.console import Console

        words = left if isinstance(left, str) else left()
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"stopped by Ctrl-C; {words}", markup=False
        )
        raise typer.Exit(130) from None
