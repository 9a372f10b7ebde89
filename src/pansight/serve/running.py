"""`pansight serve` as a process: it listens, and on SIGTERM answers what it has accepted, then exits."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from pansight.errors import InputError
from pansight.serve.connection import PatientConnection
from pansight.serve.hub import Hub
from pansight.serve.logs import log

_HEADERS = 32 * 1024
"""Bytes of the request line and all headers."""

_ON_THEIR_WAY = 0.5
"""Seconds at the end in which open connections may still bring a request that was sent already."""


class DrainingServer(uvicorn.Server):
    """Stops listening first, answers everything, then ends; `lost` is whether something was cut off."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub
        self.lost = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End gracefully."""
        log.info("draining", extra={"fields": {"requests": len(self.server_state.tasks)}})
        self._hub.draining = True  # from now on every answer says that its connection ends
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # connections that the system has accepted become ours
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        end = asyncio.get_running_loop().time() + _ON_THEIR_WAY
        while self.server_state.connections and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        self.lost = any(not task.done() for task in self.server_state.tasks)
        log.info("ended", extra={"fields": {"lost": self.lost}})

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Treat SIGTERM and Ctrl-C as a request to end, without re-raising them: the exit code stays 0."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are not ours to take
            return
        handlers = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0: one that is free. Raises InputError when that is not possible."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {host}:{port}: {reason}; choose another --port or --host"
        ) from error
    return listener


def make_server(app: FastAPI) -> DrainingServer:
    """A server for an application of `build_application`."""
    hub: Hub = app.state.hub
    options = hub.options
    config = uvicorn.Config(
        app,
        http=type("Connection", (PatientConnection,), {"header_timeout": options.header_timeout}),
        ws="websockets-sansio",
        ws_max_size=options.max_bytes,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        h11_max_incomplete_event_size=_HEADERS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=max(1, round(options.grace)),
        backlog=1024,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    return DrainingServer(config, hub)


def run(server: DrainingServer, listener: socket.socket, announce: Callable[[], None]) -> bool:
    """Serve until SIGTERM or Ctrl-C; returns whether every accepted request was answered."""

    async def serve() -> None:
        serving = asyncio.ensure_future(server.serve([listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            announce()
        await serving

    asyncio.run(serve())
    return not server.lost
