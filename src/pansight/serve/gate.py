"""What every request passes through: request id, token, counters, log, and security headers."""

import hmac
import json
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pansight.serve.failures import Refusal
from pansight.serve.hub import Hub
from pansight.serve.logs import log

_OPEN = ("/v2", "/v2/health/live", "/v2/health/ready")
"""Paths that a probe asks without a token; the page's own files are open, too."""

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What a browser requires before it gives WebAssembly threads."""

SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; worker-src 'self' blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class Gate:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, hub: Hub, open_paths: frozenset[str]) -> None:
        self._app = app
        self._hub = hub
        self._open = open_paths | set(_OPEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        # CORS does not hold for WebSockets: a page of another site could use this one's visitor
        if origin is not None and not self._same_site(origin, headers.get("host", "")):
            await _refuse_socket(scope, receive, send, 403)
        elif not self._allowed(headers):
            await _refuse_socket(scope, receive, send, 401)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        number = secrets.token_hex(6)
        scope.setdefault("state", {})["request_id"] = number
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = number
                for name, value in {**ISOLATION, **SAFETY}.items():
                    headers.setdefault(name, value)
                if self._hub.draining:
                    headers["Connection"] = "close"
            await send(message)

        try:
            if scope["path"] not in self._open and not self._allowed(Headers(scope=scope)):
                refusal = Refusal(
                    401,
                    "this server requires a token; send Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
                await send_refusal(tell, refusal)
            else:
                await self._app(scope, receive, tell)
        except Exception:
            log.exception("internal error", extra={"fields": {"request": number}})
            if status == 0:
                await send_refusal(
                    tell, Refusal(500, f"internal error; the server's log has it as request {number}")
                )
        finally:
            self._count(scope, number, status, time.perf_counter() - started)

    def _count(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        path = getattr(scope.get("route"), "path", None)
        route = path if isinstance(path, str) else "page" if scope["path"] in self._open else "unknown"
        self._hub.measures.requests.labels(route, str(status)).inc()
        self._hub.measures.seconds.labels(route).observe(seconds)
        client = scope.get("client") or ("", 0)
        fields: dict[str, Any] = {
            "request": number,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "client": client[0],
            **scope["state"].get("told", {}),
        }
        log.info("request", extra={"fields": fields})

    def _allowed(self, headers: Headers) -> bool:
        token = self._hub.options.token
        if token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(given.strip(), token.get_secret_value()):
            return True
        # a browser can set no header of a WebSocket but this one
        offered = [one.strip() for one in headers.get("sec-websocket-protocol", "").split(",")]
        return any(
            _equal(one.removeprefix("bearer."), token.get_secret_value().encode().hex())
            for one in offered
            if one.startswith("bearer.")
        )

    def _same_site(self, origin: str, host: str) -> bool:
        return origin.partition("://")[2] == host or origin in self._hub.options.cors_origins


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer with the refusal as JSON."""
    body = json.dumps({"error": refusal.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse_socket(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
