"""Everything put together: an ASGI application, for `pansight serve` and for other servers."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from pansight.errors import DeviceError, InputError, InstallationError, PansightError
from pansight.runtime.devices import choose_device
from pansight.runtime.segmenter import load
from pansight.serve.failures import Refusal, one_line
from pansight.serve.gate import Gate
from pansight.serve.hub import Broken, Hub
from pansight.serve.inference_routes import inference_routes
from pansight.serve.logs import log
from pansight.serve.options import ServeOptions
from pansight.serve.page_routes import page_paths, page_routes
from pansight.serve.segment_routes import segment_routes
from pansight.serve.served import ServedModel
from pansight.serve.stream_routes import stream_routes
from pansight.version import __version__

_ABOUT = """Images in, panoptic maps out.

`POST /v1/segment` is the short way; `/v2` is the Open Inference Protocol, for KServe and Triton clients;
`/v1/stream` is a WebSocket: binary messages are frames (image files), text messages set thresholds
and format, the newest frame wins. Errors are `{"error": "one line"}`.
"""


def load_models(
    names: Sequence[str],
    *,
    device: str | None = None,
    resize: Any = "paper",
    engine: str = "auto",
    merge: Mapping[str, Any] | None = None,
) -> list[ServedModel | Broken]:
    """The models by name, path, or NAME=PATH.

    Damaged weights make a model `Broken`, which answers with 500 while the others serve. Raises InputError
    for a name that does not exist, a file that does not exist, and for two models with one name.
    """
    choose_device(device)
    loaded: list[ServedModel | Broken] = []
    for text in names:
        name, source = find_model(text)
        if name in [one.name for one in loaded]:
            raise InputError(f"two models are called {name}; name one of them: --model OTHER={source}")
        loaded.append(
            _load(name, source, {"device": device, "resize": resize, "merge": merge, "engine": engine})
        )
    return loaded


def find_model(text: str) -> tuple[str, str]:
    """Name and source of a model from a name, a path, or NAME=PATH.

    Raises InputError for a file that does not exist, PansightError with the nearest names for one that no
    model has.
    """
    from pansight.zoo.hub import is_hub_name
    from pansight.zoo.presets import names, preset

    name, source = _parts(text, names())
    if is_hub_name(source):
        return name, source
    if source not in names() and not Path(source).exists():
        if Path(source).suffix == "" and Path(source).name == source:
            preset(source)  # says which names are near
        raise InputError(f"{source}: no such file; check the path")
    return name, source


def _parts(text: str, known: Sequence[str]) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if equals and name and source and not Path(text).exists():
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InputError(f"{name!r} is not a valid model name; use letters, digits, '-', '_' and '.'")
        return name, source
    from pansight.zoo.hub import title_of

    return (text, text) if text in known else (title_of(text), text)


def _load(name: str, source: str, options: Mapping[str, Any]) -> ServedModel | Broken:
    try:
        return ServedModel(name, load(source, **options).engine)
    except (InputError, DeviceError, InstallationError):
        raise  # the operator can fix these now
    except PansightError as error:
        log.error("model cannot be used", extra={"fields": {"model": name, "reason": one_line(error)}})
        return Broken(name, one_line(error))


def build_application(loaded: Sequence[ServedModel | Broken], options: ServeOptions) -> FastAPI:
    """The application; its `state.hub` holds the models. If a token is set, only `/`, samples and probes are
    open without it."""
    hub = Hub(options, loaded)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        await hub.stop()

    # the interactive documents of FastAPI fetch scripts from elsewhere; this server's page fetches nothing
    app = FastAPI(
        title="Pansight",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.hub = hub
    _answer_errors(app)
    for routes in (segment_routes(hub), stream_routes(hub), inference_routes(hub)):
        app.include_router(routes)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(hub.measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if options.page:
        app.include_router(page_routes(hub))
    app.add_middleware(Gate, hub=hub, open_paths=page_paths() if options.page else frozenset())
    if options.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Inference-Header-Content-Length"],
            expose_headers=[
                "Server-Timing",
                "Retry-After",
                "X-Request-Id",
                "Inference-Header-Content-Length",
            ],
        )
    return app


def from_environment() -> FastAPI:
    """The application for other servers (`uvicorn --factory`, Ray Serve), models named by PANSIGHT_MODELS,
    comma-separated, device by PANSIGHT_DEVICE, token by PANSIGHT_TOKEN."""
    names = [name for name in os.environ.get("PANSIGHT_MODELS", "yoso-tiny").split(",") if name]
    token = os.environ.get("PANSIGHT_TOKEN") or None
    options = ServeOptions.model_validate({"token": token})
    return build_application(load_models(names, device=os.environ.get("PANSIGHT_DEVICE", "auto")), options)


def _answer_errors(app: FastAPI) -> None:
    """Every error has one shape."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return JSONResponse({"error": refusal.message}, refusal.status, refusal.headers)

    @app.exception_handler(HTTPException)
    async def not_found(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": one_line(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": one_line(f"{first['loc'][-1]}: {first['msg']}")}, 422)
