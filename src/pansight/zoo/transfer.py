"""One HTTP transfer into a part file, continued where an earlier one ended if the server agrees."""

import http.client
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from pansight.version import __version__
from pansight.zoo.reasons import first_line

Report = Callable[[int, int | None], None]
"""called with the bytes received so far, and the total if it is known"""

PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers after which another try may succeed"""

BLOCK = 1 << 18


class BrokenTransferError(Exception):
    """The connection failed or broke; another try may succeed."""


class RefusedTransferError(Exception):
    """The server will not give the file; another try is useless."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The partial download of a file, and next to it (`.json`) the file that it is a part of."""

    path: Path
    url: str

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def note(self) -> tuple[str | None, int | None]:
        """The server's name for the version of the file (a validator of RFC 9110), and the whole size.

        Nothing where it was not noted, or for another address.
        """
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
            if note["url"] != self.url:
                return None, None
            return note["validator"], note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return None, None

    def begin(self, validator: str | None, total: int | None) -> None:
        """Forget what was there, and note of what the coming bytes are a part."""
        self.path.write_bytes(b"")
        note = {"url": self.url, "validator": validator, "total": total}
        self.note_path.write_text(json.dumps(note), encoding="utf-8")

    def discard(self) -> None:
        """Remove part and note."""
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)


def transfer(partial: Partial, report: Report, timeout: float) -> None:
    """Get what is missing of `partial.url`; returns when `partial.path` is whole.

    Raises BrokenTransferError or RefusedTransferError with the reason, and OSError when the part file
    cannot be written.
    """
    have = partial.size
    validator, total = partial.note()
    if have and have == total:
        return
    headers = {"User-Agent": f"pansight/{__version__}", "Accept-Encoding": "identity"}
    if have and validator:
        # If-Range: should the file have changed, the server sends all of the new one
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    request = urllib.request.Request(partial.url, headers=headers)
    with _open(request, partial, timeout) as response:
        _receive(response, partial, have, report)


def _open(request: urllib.request.Request, partial: Partial, timeout: float) -> http.client.HTTPResponse:
    """The server's answer, if it is one with bytes to read."""
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answers {error.code} {error.reason}".rstrip()
        if error.code == 416:  # the part is longer than the file, or of another file
            partial.discard()
            raise BrokenTransferError(reason) from error
        raise (BrokenTransferError if error.code in PASSING else RefusedTransferError)(reason) from error
    except urllib.error.URLError as error:
        reason = first_line(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
        raise BrokenTransferError(reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise BrokenTransferError(f"the connection broke: {first_line(error)}") from error


def _receive(response: http.client.HTTPResponse, partial: Partial, have: int, report: Report) -> None:
    headers = response.headers
    if headers.get_content_type() == "text/html":
        raise RefusedTransferError("the server answers with a web page: a proxy, or a page to log in")
    start, total = _span(response.status, headers)
    if start != have or not start:
        if start:
            partial.discard()
            raise BrokenTransferError(f"the server continues at byte {start}, not {have}")
        partial.begin(_validator(headers), total)
        free = shutil.disk_usage(partial.path.parent).free
        if total is not None and total > free:
            partial.discard()
            raise OSError(f"{total / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB free")
    done = start
    with partial.path.open("ab") as part:
        report(done, total)
        while block := _read(response):
            part.write(block)
            done += len(block)
            report(done, total)
    if total is not None and done != total:
        raise BrokenTransferError(f"the connection ended after {done} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; told apart here, because a full disk raises the same kind of error as the network."""
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenTransferError(f"the connection broke: {first_line(error)}") from error


def _span(status: int, headers: Message) -> tuple[int, int | None]:
    """Where the answer's bytes begin, and how long the whole file is."""
    if status == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if match is None:
            raise BrokenTransferError("the server sends a part without its range")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(headers: Message) -> str | None:
    """What identifies this version of the file in If-Range: a strong ETag, else the date."""
    etag = headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")
