"""What the terminal, or whatever stands in its place, can be told."""

import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO

from pansight.errors import CheckpointWarning

if TYPE_CHECKING:
    from rich.console import Console


def tolerate_any_text() -> None:
    """Let letters that the output cannot hold be escaped: \\u4e2d, not a traceback after the work is done.

    Pipes on Windows speak cp1252, and an ASCII locale nothing but ASCII.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # whoever replaced it knows what it takes
            stream.reconfigure(errors="backslashreplace")


def can_say(text: str) -> bool:
    """Whether the standard output has these letters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def show_notes(errors: "Console") -> None:
    """What a user should know of a file is one line, "note: ...", be it a warning or a line of the log.

    Other warnings look as ever.
    """
    logger = logging.getLogger("pansight")
    for handler in list(logger.handlers):
        if isinstance(handler, _Notes):
            logger.removeHandler(handler)
    logger.addHandler(_Notes(errors))
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, CheckpointWarning):
            _note(errors, str(message))
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


class _Notes(logging.Handler):
    """Prints what the library has to say."""

    def __init__(self, console: Any) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        _note(self.console, record.getMessage())


def _note(console: Any, text: str) -> None:
    from rich.text import Text

    console.print(Text.assemble(("note:", "bold"), " ", text))
