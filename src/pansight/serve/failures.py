"""Refusals of a request: a status and one line."""

import math
from collections.abc import Mapping

from pansight.errors import InputError, PansightError


class Refusal(Exception):  # noqa: N818  (it is an answer)
    """A request ends with this HTTP status and one line that says what is wrong and what to do."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = one_line(message)
        self.headers = dict(headers or {})


def bad_request(message: str) -> Refusal:
    """400: the request is malformed."""
    return Refusal(400, message)


def busy(message: str, seconds: float) -> Refusal:
    """429: come back after `seconds`, at least one."""
    return Refusal(429, message, {"Retry-After": str(max(1, math.ceil(seconds)))})


def from_error(error: PansightError) -> Refusal:
    """Errors of the library as refusals: those of the client's image are 4xx, all others 500."""
    return Refusal(422 if isinstance(error, InputError) else 500, str(error))


def one_line(text: object) -> str:
    """The text with single spaces, without unprintable characters, at most 500 long."""
    line = " ".join(str(text).split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= 500 else line[:497] + "..."
