"""A server in a thread of the tests' own process, on a free port; torch is loaded once."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.serve.application import build_application
from pansight.serve.hub import Broken, Hub
from pansight.serve.options import ServeOptions
from pansight.serve.running import listen, make_server
from pansight.serve.served import ServedModel


@dataclass
class Server:
    """A server that runs."""

    hub: Hub
    port: int
    client: httpx.Client
    end: Callable[[], None]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def segment(self, content: bytes, **query: Any) -> httpx.Response:
        """POST /v1/segment."""
        return self.client.post("/v1/segment", content=content, params=query)


Start = Callable[..., Server]


def begin(*models: ServedModel | Broken, **options: Any) -> Server:
    """Start a server; its `end` stops it and waits."""
    app = build_application(models, ServeOptions(**options))
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    server = make_server(app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def end() -> None:
        client.close()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server does not end"

    return Server(app.state.hub, port, client, end)


def as_file(pixels: UInt8[np.ndarray, "..."], kind: str = "png", **options: Any) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
