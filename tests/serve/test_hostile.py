"""What strangers send: the right status, one line, and the server goes on."""

import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import Server, Start, as_file

from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.serve.served import ServedModel


@pytest.fixture(scope="module")
def guarded(start: Start, engine: TorchEngine) -> Server:
    """A server with tight limits."""
    limits = {"max_bytes": 300_000, "max_pixels": 1_000_000, "body_timeout": 0.6, "header_timeout": 0.6}
    return start(ServedModel("small", engine), **limits)


@pytest.fixture(autouse=True)
def still_serving(
    guarded: Server, png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """After every attack the server answers, and nothing was written where it might have been."""
    monkeypatch.chdir(tmp_path)
    yield
    assert guarded.segment(png).status_code == 200
    assert list(tmp_path.iterdir()) == []


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims this size, and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def noise(kind: str) -> bytes:
    """An image file that compresses badly, so that cutting it off cuts pixels."""
    return as_file(np.random.default_rng(3).integers(0, 255, (60, 80, 3)).astype(np.uint8), kind)


GIF = b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;"
"""A frame that ends at once."""


def damaged() -> dict[str, tuple[bytes, set[int]]]:
    """Bodies, and the statuses that are right for them."""
    cases: dict[str, tuple[bytes, set[int]]] = {
        "empty": (b"", {400}),
        "one byte": (b"\x89", {415}),
        "zeros": (bytes(5000), {415}),
        "text": (b"hello, here is my image", {415}),
        "html": (b"<!doctype html><script>alert(1)</script>", {415}),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>', {415}),
        "pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj", {415}),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(id) system", {415}),
        "zip": (b"PK\x03\x04" + bytes(60), {415}),
        "pickle": (b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", {415}),
        "safetensors": (struct.pack("<Q", 8) + b'{"a": 1}', {415}),
        "a path": (b"/etc/passwd", {415}),
        "an address": (b"http://169.254.169.254/latest/meta-data", {415}),
        "bomb of pixels": (png_header(30_000, 30_000), {413}),
        "bomb beyond Pillow's own limit": (png_header(60_000, 60_000), {413}),
        "bomb of 2**31": (png_header(2**31 - 1, 2**31 - 1), {413, 415, 422}),
        "no pixels": (png_header(0, 0), {415, 422}),
        "one pixel wide, too long": (png_header(1, 2_000_000), {413}),
        "only a header": (png_header(500, 500), {422}),
        "bmp bomb": (b"BM" + struct.pack("<I4xIIiiHH24x", 54, 54, 40, 50_000, 50_000, 1, 24), {413}),
        "gif bomb": (b"GIF89a" + struct.pack("<HH3x", 65535, 65535) + GIF, {413}),
        "ppm bomb": (b"P6\n60000 60000\n255\n" + bytes(100), {413}),
        "ppm without end": (b"P6\n300 300\n255\n" + bytes(100), {422}),
        "ppm of letters": (b"P6\nx y\n255\n" + bytes(100), {415, 422}),
        "ten thousand by one": (as_file(np.zeros((1, 10_000, 3), np.uint8)), {200}),
        "one by ten thousand": (as_file(np.zeros((10_000, 1, 3), np.uint8)), {200}),
        "one pixel": (as_file(np.zeros((1, 1, 3), np.uint8)), {200}),
        "one bit": (as_file(np.zeros((9, 9), np.bool_)), {200}),
        "floats": (as_file(np.full((9, 9), np.nan, np.float32), "tiff"), {422}),
    }  # fmt: skip
    for kind in ("png", "jpeg", "webp", "gif", "tiff", "bmp"):
        whole = noise(kind)
        for part in (0.1, 0.5, 0.9):
            cases[f"{kind} cut at {part}"] = (whole[: int(len(whole) * part)], {415, 422})
        broken = bytearray(whole)
        for place in range(20, len(broken), 37):
            broken[place] ^= 0xA5
        cases[f"{kind} with wrong bytes"] = (bytes(broken), {200, 413, 415, 422})
    text = io.BytesIO()
    Image.new("RGB", (8, 8)).save(text, "png")
    bomb = zlib.compress(bytes(50_000_000), 9)
    chunk = b"zTXt" + b"comment\0\0" + bomb
    data = text.getvalue()
    cases["bomb in a comment"] = (
        data[:33]
        + struct.pack(">I", len(chunk) - 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + data[33:],
        {200, 422},
    )
    return cases


CASES = damaged()


@pytest.mark.parametrize("name", CASES)
def test_a_body(guarded: Server, name: str) -> None:
    content, statuses = CASES[name]
    response = guarded.segment(content)
    assert response.status_code in statuses, response.text
    if response.status_code != 200:
        assert set(response.json()) == {"error"}
        assert "\n" not in response.json()["error"] and "Traceback" not in response.text


def form(*parts: tuple[str, bytes], boundary: str = "b") -> bytes:
    """A multipart body from headers and contents."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
    return body + f"--{boundary}--\r\n".encode()


def disposition(name: str, filename: str = "a.png") -> str:
    return f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'


FORM = "multipart/form-data; boundary=b"

FORMS: dict[str, tuple[str, bytes, int]] = {
    "no boundary": ("multipart/form-data", form((disposition("image"), b"x")), 400),
    "another boundary": ("multipart/form-data; boundary=c", form((disposition("image"), b"x")), 400),
    "huge boundary": (FORM + "b" * 5000, b"x", 400),
    "no field image": (FORM, form((disposition("file"), b"x")), 400),
    "no name": (FORM, form(("Content-Disposition: form-data", b"x")), 400),
    "empty field": (FORM, form((disposition("image"), b"")), 400),
    "cut off": (FORM, form((disposition("image"), b"xyz"))[:-8], 400),
    "only the end": (FORM, b"--b--\r\n", 400),
    "many parts": (FORM, form(*[(disposition("x"), b"")] * 100), 400),
    "long part headers": (FORM, form((disposition("image") + "\r\nX: " + "y" * 9000, b"x")), 400),
    "path as name": (FORM, form((disposition("image", "../../../../etc/cron.d/x"), b"x")), 415),
    "no image": (FORM, form((disposition("image"), b"not an image")), 415),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form(guarded: Server, name: str) -> None:
    kind, body, status = FORMS[name]
    response = guarded.client.post("/v1/segment", content=body, headers={"Content-Type": kind})
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"} and "\n" not in response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/..%2f..%2fetc/passwd", "/js/../../pyproject.toml",
        "/js/%2e%2e/%2e%2e/__init__.py", "/samples/../../x.jpg", "/samples/..%2fx", "/samples/99.jpg",
        "//etc/passwd", "/%00", "/js/main.js%00.png",
        "/.git/config", "/js/", "/v2/models/..%2f..%2fetc", "/" + "a" * 5000,
    ],
)  # fmt: skip
def test_a_path(guarded: Server, path: str) -> None:
    status, _, body = raw(guarded, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status == 404, body
    assert set(json.loads(body)) == {"error"}


def raw(server: Server, *parts: bytes, pause: float = 0.0, wait: float = 10.0) -> tuple[int, str, bytes]:
    """Send bytes and read until the server closes: status, head and body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            pass  # it closed before all was sent; what it said may still be read
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, head.decode("latin-1"), body


POST = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\n"


def test_a_body_longer_than_allowed_is_refused_by_its_header(guarded: Server) -> None:
    status, _, body = raw(guarded, POST + b"Content-Length: 99999999999\r\n\r\n", b"x" * 1000)
    assert (status, "300000 bytes" in json.loads(body)["error"]) == (413, True)


def test_a_body_without_end_is_cut_off(guarded: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    status, _, body = raw(guarded, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40)
    assert (status, "300000 bytes" in json.loads(body)["error"]) == (413, True)


def test_a_slow_body_is_given_up(guarded: Server) -> None:
    status, _, body = raw(guarded, POST + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 12, pause=0.1)
    assert (status, "did not arrive" in json.loads(body)["error"]) == (408, True)


def test_slow_headers_are_given_up(guarded: Server) -> None:
    status, _, body = raw(guarded, b"POST /v1/segment HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 12, pause=0.1)
    assert (status, "headers did not arrive" in json.loads(body)["error"]) == (408, True)


def test_a_connection_that_says_nothing_is_closed(guarded: Server) -> None:
    assert raw(guarded)[0] == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + b"".join(b"X-%d: y\r\n" % n for n in range(9000)) + b"\r\n", 431),
        (POST + b"X: " + b"y" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/x.y\r\nHost: x\r\n\r\n", 400),
        (b"POST /v1/segment HTTP/1.1\r\n\r\n", 400),
        (POST + b"Content-Length: -5\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nX y: z\r\n\r\n", 400),
    ],
    ids=["many headers", "long header", "long address", "TLS", "not HTTP", "HTTP x.y", "no host",
         "negative length", "two lengths", "bad chunk", "bad name"],
)  # fmt: skip
def test_what_is_no_request(guarded: Server, sent: bytes, status: int) -> None:
    found, head, body = raw(guarded, sent)
    assert found == status, head
    assert "\n" not in json.loads(body)["error"]


def test_a_client_that_leaves_in_the_middle(guarded: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", guarded.port)) as connection:
            connection.sendall(POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 500)


def test_query_strings(guarded: Server, png: bytes) -> None:
    queries: dict[str, Any] = {
        "/v1/segment?" + "a=1&" * 500: 400,
        "/v1/segment?object_threshold=%00": 400,
        "/v1/segment?object_threshold=1e999": 400,
        "/v1/segment?model=%ff%fe": 404,
        "/v1/segment?format=__class__": 400,
        "/v1/segment?weights=/etc/passwd": 400,
        "/v1/segment?image=http://169.254.169.254/": 400,
    }
    for path, status in queries.items():
        response = guarded.client.post(path, content=png)
        assert response.status_code == status, (path, response.text)
        assert "\n" not in response.json()["error"]
