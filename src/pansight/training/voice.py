"""What a training prints on the terminal: our messages, and one line for each warning of others."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console

from pansight.errors import CheckpointWarning

SILENT = r"(lightning|PIL|torch\.utils\.data|torch\.distributed)(\.|$)"
"""modules whose warnings are advice on settings that are not theirs to make, or name no file"""


@contextmanager
def only_our_words(console: Console) -> Iterator[None]:
    """Keep Lightning's hints and advertisements from the terminal; its errors are raised as usual.

    Other warnings come as one line each, once, instead of as lines of source code.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    said: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            word = "note" if issubclass(category, CheckpointWarning) else "remark"
            console.print(f"{word}: {text}", markup=False, highlight=False, soft_wrap=True)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=SILENT)
            # by category: the libraries warn of their own future, which no user can change
            for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
                warnings.filterwarnings("ignore", category=category)
            warnings.showwarning = show
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
