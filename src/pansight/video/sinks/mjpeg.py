"""Overlays over HTTP as MJPEG: any browser shows them, nothing is installed."""

import io
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

from PIL import Image

from pansight.errors import InputError
from pansight.video.sinks.base import TrackedFrame

_WAIT = 1.0
"""Seconds after which a viewer is asked whether it is still there."""


class MjpegServer:
    """Serves `/` (all videos on a page) and `/NAME.mjpg`, to any number of viewers; each gets the newest.

    Only this machine can look unless `host` says otherwise. Raises InputError for a port that is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._pages: dict[str, bytes] = {}
        self._numbers: dict[str, int] = {}
        self._change = threading.Condition()
        self._open = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = unquote(self.path.split("?", 1)[0]).removeprefix("/")
                if not name:
                    self._page()
                elif name.endswith(".mjpg") and name.removesuffix(".mjpg") in outer._pages:
                    self._stream(name.removesuffix(".mjpg"))
                else:
                    self.send_error(HTTPStatus.NOT_FOUND)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nobody asked."""

            def _page(self) -> None:
                with outer._change:
                    names = list(outer._pages)
                images = "".join(f'<img src="/{quote(name)}.mjpg" style="max-width:100%">' for name in names)
                body = f"<!doctype html><title>Pansight</title>{images or 'no frames yet'}".encode()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, name: str) -> None:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                seen = 0
                try:
                    while outer._open:
                        number, jpeg = outer._newer(name, seen)
                        if number > seen:
                            seen = number
                            head = (
                                f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                            )
                            self.wfile.write(head.encode() + jpeg + b"\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    return

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot serve at {host}:{port}: {error}; choose another port") from error
        self._server.daemon_threads = True
        self.address = f"http://{host}:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, name="pansight-mjpeg", daemon=True).start()

    def show(self, name: str, jpeg: bytes) -> None:
        """The newest frame of a video."""
        with self._change:
            self._pages[name] = jpeg
            self._numbers[name] = self._numbers.get(name, 0) + 1
            self._change.notify_all()

    def _newer(self, name: str, seen: int) -> tuple[int, bytes]:
        """Wait a while for a frame after number `seen`; the newest one."""
        with self._change:
            self._change.wait_for(lambda: self._numbers[name] > seen or not self._open, timeout=_WAIT)
            return self._numbers[name], self._pages[name]

    def close(self) -> None:
        """Send everybody home."""
        with self._change:
            self._open = False
            self._change.notify_all()
        self._server.shutdown()
        self._server.server_close()


class MjpegSink:
    """Shows one source's overlays on a server."""

    wants_drawing = True

    def __init__(self, server: MjpegServer, name: str) -> None:
        self._server, self._name = server, name

    def write(self, result: TrackedFrame) -> None:
        """Show the overlay."""
        assert result.drawn is not None
        content = io.BytesIO()
        Image.fromarray(result.drawn).save(content, "JPEG", quality=85)
        self._server.show(self._name, content.getvalue())

    def close(self) -> None:
        """The server's owner closes it."""
