"""What the terminal, or its replacement, can display, and how notes look."""

import sys
import warnings
from typing import TYPE_CHECKING, TextIO

from pansight.errors import CheckpointWarning, EngineWarning

if TYPE_CHECKING:
    from rich.console import Console


def tolerate_any_text() -> None:
    """Escape characters that the output cannot encode: \\u4e2d, not a traceback after the work is done.

    Pipes on Windows use cp1252, and an ASCII locale only ASCII.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a replacement stream knows what it takes
            stream.reconfigure(errors="backslashreplace")


def can_say(text: str) -> bool:
    """Whether the standard output has these letters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def show_notes(errors: "Console") -> None:
    """Show what a user should know about a weights file in one line; other warnings stay as they are."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, CheckpointWarning | EngineWarning):
            note(errors, str(message))
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def note(console: "Console", text: str) -> None:
    """Print one line, "note: ..."."""
    from rich.text import Text

    console.print(Text.assemble(("note:", "bold"), " ", text))
