"""`/v1/stream`: frames over a WebSocket; the newest wins, so no answer is older than two runs."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from pansight.merging import MergeSettings
from pansight.serve.answers import Form, Written, framed
from pansight.serve.failures import Refusal, one_line
from pansight.serve.hub import Hub
from pansight.serve.logs import log
from pansight.serve.served import ServedModel
from pansight.serve.uploads import decode

_TRY_LATER, _GOING_AWAY, _BAD = 1013, 1001, 1008
_IDLE = 60.0
"""Seconds without a frame after which a connection ends."""


def stream_routes(hub: Hub) -> APIRouter:
    """The routes of one server."""
    routes = APIRouter(prefix="/v1")

    @routes.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        """Binary messages are image files, text messages JSON with thresholds and the form of answers."""
        protocols = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol="pansight.v1" if "pansight.v1" in protocols else None)
        try:
            model = hub.model(socket.query_params.get("model"))
            asked = {k: v for k, v in socket.query_params.items() if k not in ("model", "format")}
            session = Session(hub, socket, model, hub.settings(model, asked))
            session.choose(socket.query_params.get("format", "json"))
        except Refusal as refusal:
            await socket.send_text(json.dumps({"error": refusal.message}))
            await socket.close(_BAD)
            return
        if hub.streams >= hub.options.streams:
            await socket.close(_TRY_LATER, "too many streams; try again later")
            return
        hub.streams += 1
        hub.measures.streams.set(hub.streams)
        try:
            await session.run()
        finally:
            hub.streams -= 1
            hub.measures.streams.set(hub.streams)

    return routes


@dataclass
class Session:
    """One connection: a reader that keeps only the newest frame, and a worker that answers it."""

    hub: Hub
    socket: WebSocket
    model: ServedModel
    settings: MergeSettings
    form: Form = Form.JSON
    received: int = 0
    dropped: int = 0
    _newest: tuple[int, bytes] | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def choose(self, name: str) -> None:
        """Set the form of answers. Refuses an unknown one."""
        try:
            self.form = Form(name)
        except ValueError:
            raise Refusal(400, f"no format {name!r}; use {', '.join(form.value for form in Form)}") from None

    async def run(self) -> None:
        """Serve until the client leaves, is idle, or the server ends."""
        worker = asyncio.create_task(self._answer_all())
        reader = asyncio.create_task(self._read_all())
        try:
            await asyncio.wait({worker, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (worker, reader):
                task.cancel()
            for result in await asyncio.gather(worker, reader, return_exceptions=True):
                if isinstance(result, Exception) and not isinstance(
                    result, WebSocketDisconnect | RuntimeError
                ):
                    log.error("stream ended", extra={"fields": {"reason": one_line(result)}})

    async def _read_all(self) -> None:
        while True:
            try:
                message = await asyncio.wait_for(self.socket.receive(), _IDLE)
            except asyncio.TimeoutError:
                await self.socket.close(_GOING_AWAY, "no frame for a minute")
                return
            if message["type"] == "websocket.disconnect":
                return
            content, text = message.get("bytes"), message.get("text")
            if content is not None:
                self._take(content)
            elif text is not None:
                await self._instruct(text)

    def _take(self, content: bytes) -> None:
        self.received += 1
        if self._newest is not None:
            self.dropped += 1
            self.hub.measures.frames.labels("dropped").inc()
        self._newest = (self.received, content)
        self._arrived.set()

    async def _instruct(self, text: str) -> None:
        try:
            try:
                wishes = json.loads(text)
            except (ValueError, RecursionError):
                wishes = None
            if not isinstance(wishes, dict):
                raise Refusal(400, 'text must be JSON such as {"object_threshold": 0.5, "format": "png"}')
            if "format" in wishes:
                self.choose(str(wishes.pop("format")))
            if wishes:
                self.settings = self.hub.settings(self.model, {k: str(v) for k, v in wishes.items()})
        except Refusal as refusal:
            await self.socket.send_text(json.dumps({"error": refusal.message}))

    async def _answer_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            newest, self._newest = self._newest, None
            if newest is None:
                continue
            await self._answer(*newest)
            if self.hub.draining:
                await self.socket.close(_GOING_AWAY, "the server is ending")
                return

    async def _answer(self, number: int, content: bytes) -> None:
        if len(content) > self.hub.options.max_bytes:
            await self._refuse(number, f"the frame has more than {self.hub.options.max_bytes} bytes")
            return
        try:
            found = await self.hub.segment(
                self.model, lambda: decode(content, self.hub.options.max_pixels), self.settings
            )
            more = {"frame": number, "dropped": self.dropped}
            written = await self.hub.written(self.form, found, more)
        except Refusal as refusal:
            await self._refuse(number, refusal.message)
            return
        self.hub.measures.frames.labels("answered").inc()
        await self._send(written)

    async def _send(self, written: Written) -> None:
        if written.media_type == "application/json":
            await self.socket.send_text(written.content.decode())
        else:
            await self.socket.send_bytes(framed(written))

    async def _refuse(self, number: int, reason: str) -> None:
        self.hub.measures.frames.labels("refused").inc()
        answer: dict[str, Any] = {"error": reason, "frame": number, "dropped": self.dropped}
        await self.socket.send_text(json.dumps(answer))
