"""Small models, and a web server that fails on demand."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo.spec import ModelSpec, ReleasedFile

CATEGORIES = Categories(
    [Category("sky", False, 7, (0, 0, 255)), Category("dog", True, 9, (255, 0, 0))], name="garden"
)


def small_config(**changes: Any) -> YOSOConfig:
    """A YOSO of a few thousand parameters."""
    fields: dict[str, Any] = {
        "depth": 18,
        "width": 4,
        "aggregated_dim": 8,
        "hidden_dim": 16,
        "heads": 2,
        "feedforward_dim": 16,
        "proposals": 5,
        "stages": 1,
    }
    return YOSOConfig(**{**fields, **changes})


def small_spec(name: str = "small", **changes: Any) -> ModelSpec:
    return ModelSpec(
        name, "yoso", small_config(**changes), CATEGORIES, Preprocess(short=64, longest=96), "for tests"
    )


def small_model(**changes: Any) -> YOSO:
    """With every tensor random, statistics of norms included."""
    torch.manual_seed(0)
    model = YOSO(small_config(**changes), CATEGORIES, Preprocess(short=64, longest=96))
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return model.eval()


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@dataclass
class Server:
    """Serves `content` at any path; the other fields say how it misbehaves."""

    content: bytes
    address: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    status: list[int] = field(default_factory=list)
    """answers to give first, one a request; 200 stands for a good one"""
    breaks: list[int] = field(default_factory=list)
    """after how many bytes to cut the connection, one a request that gets content"""
    content_type: str = "application/octet-stream"
    requests: list[dict[str, str]] = field(default_factory=list)
    """headers of every request so far"""
    sent: int = 0
    """bytes of content that were sent"""

    def file(self, *, sha256: bool = False) -> ReleasedFile:
        digest = hashlib.sha256(self.content).hexdigest() if sha256 else None
        return ReleasedFile("weights.pth", f"{self.address}/weights.pth", digest)


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site: Server = self.server.site
        site.requests.append(dict(self.headers.items()))
        status = site.status.pop(0) if site.status else 200
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, size = 0, len(site.content)
        wanted = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, site.etag)
        if wanted and site.ranges and unchanged:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(size - start))
        self.send_header("Content-Type", site.content_type)
        if site.etag is not None:
            self.send_header("ETag", site.etag)
        self.end_headers()
        stop = min(size, start + site.breaks.pop(0)) if site.breaks else size
        site.sent += stop - start
        self.wfile.write(site.content[start:stop])
        self.wfile.flush()
        if stop < size:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def make_spec() -> Callable[..., ModelSpec]:
    return small_spec


@pytest.fixture
def make_model() -> Callable[..., YOSO]:
    return small_model


@pytest.fixture
def same() -> Callable[[torch.nn.Module, torch.nn.Module], bool]:
    return same_state


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = bytes(range(256)) * 4000  # a megabyte: several blocks
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    site = Server(content, f"http://127.0.0.1:{httpd.server_port}")
    httpd.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield site
    httpd.shutdown()
    httpd.server_close()
    thread.join()
