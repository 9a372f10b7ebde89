"""The page at `/`: static files of this package, and synthetic scenes as samples; no other file is read."""

import hashlib
import io
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response
from PIL import Image
from starlette.routing import compile_path

from pansight.serve.failures import Refusal
from pansight.serve.hub import Hub
from pansight.serve.segment_routes import describe

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}

SAMPLES = tuple((2023, index) for index in (0, 1, 3, 5, 7, 8))
"""Seed and number of the scenes that are offered; no embedded model has been trained on them."""

SAMPLE_SIZE = (384, 512)
"""Height and width, in pixels."""


@cache
def page_files() -> dict[str, bytes]:
    """The files of the page by their paths, `index.html` among them."""
    files: dict[str, bytes] = {}

    def gather(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                gather(entry, f"{prefix}{entry.name}/")
            elif any(entry.name.endswith(suffix) for suffix in TYPES):
                files[prefix + entry.name] = entry.read_bytes()

    gather(resources.files("pansight") / "serve" / "page", "")
    return files


@cache
def sample_image(number: int) -> bytes:
    """A sample as JPEG."""
    from pansight.scenes import render_scene

    file = io.BytesIO()
    Image.fromarray(render_scene(*SAMPLES[number], *SAMPLE_SIZE).image).save(file, "jpeg", quality=92)
    return file.getvalue()


def page_paths() -> frozenset[str]:
    """Paths that the page itself loads, which need no token."""
    samples = {f"/samples/{number}.jpg" for number in range(len(SAMPLES))}
    return frozenset({"/", "/config.json", *(f"/{name}" for name in page_files()), *samples})


def page_routes(hub: Hub) -> APIRouter:
    """The routes of one server."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/config.json")
    async def config() -> dict[str, object]:
        """What the page must know before it asks for anything."""
        return {
            "backend": "server",
            "samples": [f"samples/{number}.jpg" for number in range(len(SAMPLES))],
            "protected": hub.options.token is not None,
            "models": [] if hub.options.token is not None else [describe(model) for model in hub.models],
        }

    @routes.get("/samples/{name}")
    async def sample(name: str) -> Response:
        """A synthetic scene."""
        known = {f"{number}.jpg": number for number in range(len(SAMPLES))}
        if name not in known:
            raise Refusal(404, "no such sample")
        content = await hub.in_thread(lambda: sample_image(known[name]))
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "max-age=86400"})

    @routes.get("/{path:path}")
    async def file(request: Request, path: str) -> Response:
        """A file of the page; the path is looked up in a table, never on the disk."""
        name = path or "index.html"
        content = page_files().get(name)
        if content is None:
            others = methods_of(request)
            if others:
                raise Refusal(405, f"/{path} takes {others}", {"Allow": others})
            raise Refusal(404, "not found; the page is at /, the API is described at /openapi.json")
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=TYPES[name[name.rindex(".") :]], headers=headers)

    return routes


def methods_of(request: Request) -> str:
    """Methods that the API has for the path of a request; empty: none."""
    for template, operations in request.app.openapi()["paths"].items():
        pattern, _, _ = compile_path(template)
        if pattern.match(request.url.path):
            return ", ".join(sorted(method.upper() for method in operations))
    return ""
