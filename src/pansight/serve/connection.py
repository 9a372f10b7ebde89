"""HTTP/1.1 connections with time limits on headers and bodies, on top of uvicorn's."""

import asyncio
import json
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

_LINGER = 2.0
"""Seconds that a body is still read, and thrown away, after the request was refused: closing at once would
reset the connection before the client has seen why."""

_PIECE = 16 * 1024
"""Bytes of headers that are parsed at a time."""


class PatientConnection(H11Protocol):
    """Closes connections whose headers do not arrive in time, or whose body never ends."""

    header_timeout = 10.0
    """seconds from the first byte of a request to the end of its headers; also set for a new connection"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all timers."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; keep time while headers are incomplete."""
        # in pieces, for the parser limits only headers that it has not seen the end of
        while data and self.conn.their_state is h11.IDLE and not self._deaf:
            super().data_received(data[:_PIECE])
            data = data[_PIECE:]
        if self._deaf:
            return
        if data:
            super().data_received(data)
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            if self._deadline is None:
                self._wait_for_headers()
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._lingering is not None and self.conn.their_state is not h11.SEND_BODY:
            self._lingering.cancel()
            self._lingering = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the WebSocket protocol, timers off."""
        self._forget()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Give the client a moment to read an answer that came before its body ended."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._lingering = self.loop.call_later(_LINGER, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """One line of JSON for anything that is not HTTP; 431 where the headers are too long."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400) or 400
        if status == 431:
            msg = "the headers are too long; send fewer"
        self._answer_and_close(status, msg)

    def _wait_for_headers(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout, self._late)

    def _late(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self._answer_and_close(408, f"the headers did not arrive within {self.header_timeout:g} seconds")
        else:
            self.transport.close()

    def _answer_and_close(self, status: int, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        try:
            for event in (
                h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # an answer was under way
        self._forget()
        self._deaf = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._lingering = self.loop.call_later(_LINGER, self.transport.close)

    def eof_received(self) -> None:
        """The client has finished: no reason to linger."""
        if self._deaf:
            self.transport.close()

    def _forget(self) -> None:
        for timer in (self._deadline, self._lingering):
            if timer is not None:
                timer.cancel()
        self._deadline = self._lingering = None
