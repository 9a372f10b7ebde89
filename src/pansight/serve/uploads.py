"""Bytes from outside become an image, within limits: counted on arrival, measured before they are decoded."""

import asyncio
import io
import time
import warnings
from collections.abc import Mapping
from typing import Any

from PIL import UnidentifiedImageError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from pansight.errors import InputError
from pansight.formats.images import AsShown, open_header
from pansight.formats.images import decode as decode_image
from pansight.runtime.engines.protocol import Rgb
from pansight.serve.failures import Refusal, bad_request

_MOST_PARTS = 32
_MOST_PART_HEADERS = 4096
"""Bytes of all headers of one part of a form."""


async def read_body(request: Request, most_bytes: int, seconds: float) -> bytes:
    """The whole body. Refuses with 413 what is too long, by header or on arrival, with 408 what is late."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > most_bytes:
        raise _too_long(most_bytes)
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    stream = request.stream()
    try:
        while True:
            chunk = await asyncio.wait_for(anext(stream), deadline - time.monotonic())
            size += len(chunk)
            if size > most_bytes:
                raise _too_long(most_bytes)
            parts.append(chunk)
    except StopAsyncIteration:
        return b"".join(parts)
    except asyncio.TimeoutError:
        raise Refusal(
            408,
            f"the body did not arrive within {seconds:g} seconds; send it faster",
        ) from None
    except ClientDisconnect:
        raise Refusal(400, "the client hung up before its body was complete") from None


def image_bytes(body: bytes, content_type: str) -> bytes:
    """The image file in a request: the body itself, or the field `image` of a multipart form.

    Refuses with 400 where there is none.
    """
    # other types are not believed, for curl calls everything a form; the bytes say what they are
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    if kind == b"multipart/form-data":
        body = _form_field(body, options, b"image")
    if not body:
        raise bad_request("the body is empty; send an image file, or multipart/form-data with a field image")
    return body


def decode(content: bytes, max_pixels: int) -> Rgb:
    """The image, upright RGB. Refuses more than `max_pixels` with 413, anything that is not an image of a
    known format with 415, a damaged image with 422."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd files that Pillow still reads
        try:
            with open_header(io.BytesIO(content)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise Refusal(
                        413,
                        f"{width} x {height} pixels are more than the limit of {max_pixels}; shrink it",
                    )
                return decode_image(image, "the image", AsShown(max_pixels))
        except UnidentifiedImageError:
            raise Refusal(415, "not an image of a known format; send JPEG, PNG or WebP") from None
        except InputError as error:
            raise Refusal(422, str(error)) from None
        except Refusal:
            raise
        except Exception as error:  # a damaged header can make a decoder raise anything
            raise Refusal(422, f"the image is damaged ({error}); replace it") from None


def _too_long(most_bytes: int) -> Refusal:
    return Refusal(413, f"the body has more than {most_bytes} bytes; send a smaller file")


def _form_field(body: bytes, options: Mapping[bytes, bytes], wanted: bytes) -> bytes:
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > 200:
        raise bad_request("multipart/form-data without a usable boundary; use a library to write the form")
    reader = _FormReader(wanted)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise bad_request("the multipart form is damaged or cut short; send it again") from None
    if not reader.complete:
        raise bad_request("the multipart form is cut short; send it again")
    if reader.content is None:
        raise bad_request(f"the multipart form has no field {wanted.decode()}; name the file so")
    return bytes(reader.content)


class _FormReader:
    """Keeps one field of a form in memory, whatever it is called on the client's disk."""

    def __init__(self, wanted: bytes) -> None:
        self.content: bytearray | None = None
        self.complete = False
        self._wanted = wanted
        self._parts = 0
        self._header = (bytearray(), bytearray())
        self._length = 0
        self._disposition = b""
        self._keep = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._collect(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._collect(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        self._length = 0
        self._disposition = b""
        if self._parts > _MOST_PARTS:
            raise bad_request(f"the multipart form has more than {_MOST_PARTS} parts; send the image alone")

    def _collect(self, side: int, data: bytes) -> None:
        self._length += len(data)
        if self._length > _MOST_PART_HEADERS:
            raise bad_request("the headers of a part of the form are too long; send the image alone")
        self._header[side].extend(data)

    def _header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"name")
        self._keep = name == self._wanted and self.content is None
        if self._keep:
            self.content = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._keep and self.content is not None:
            self.content += data[start:end]

    def _end(self) -> None:
        self.complete = True
