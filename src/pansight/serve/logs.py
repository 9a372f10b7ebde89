"""One JSON object per line on standard error; request ids tie an answer to its line."""

import json
import logging
import sys
import time
from typing import Any, TextIO

log = logging.getLogger("pansight.serve")


class JsonLines(logging.Formatter):
    """Time, level, message, and the fields of `extra={"fields": {...}}`; a traceback is one field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextLines(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, a traceback below it."""
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        text = f"{time.strftime('%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()} {fields}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text.rstrip()


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def set_up(style: str) -> None:
    """Send this server's lines, and uvicorn's warnings, to standard error; `style` is json or text."""
    handler = _StandardError()
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    for name, level in (("pansight.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
