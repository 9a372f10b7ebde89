"""`/v2`: the Open Inference Protocol, as KServe and Triton clients speak it."""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from pansight.panoptic import PanopticMap
from pansight.runtime.engines.protocol import Rgb
from pansight.serve.documents import INFER_DOCUMENT
from pansight.serve.failures import Refusal
from pansight.serve.hub import Hub, unless_gone
from pansight.serve.inference_tensors import INPUT, OUTPUTS, Asked, read_request, tensors, write_response
from pansight.serve.served import ServedModel
from pansight.serve.uploads import read_body
from pansight.version import __version__

_VERSION = "1"


def inference_routes(hub: Hub) -> APIRouter:
    """The routes of one server."""
    routes = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @routes.get("")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "pansight", "version": __version__, "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process answers."""
        return {"live": True}

    @routes.get("/health/ready")
    async def ready(response: Response) -> dict[str, bool]:
        """Whether every model works and the server is not about to end; 503 if not."""
        response.status_code = 200 if hub.ready else 503
        return {"ready": hub.ready}

    @routes.get("/models/{name}")
    @routes.get("/models/{name}/versions/{version}")
    async def metadata(name: str, version: str = _VERSION) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        model = _find(hub, name, version)
        return {
            "name": model.name,
            "versions": [_VERSION],
            "platform": f"pansight_{model.method}",
            "inputs": [INPUT],
            "outputs": list(OUTPUTS),
            "parameters": {
                "categories": [category.name for category in model.categories],
                "settings": {one.name: one.default for one in model.settings.values()},
            },
        }

    @routes.get("/models/{name}/ready")
    @routes.get("/models/{name}/versions/{version}/ready")
    async def model_ready(response: Response, name: str, version: str = _VERSION) -> dict[str, Any]:
        """Whether a model works; 503 if it does not."""
        try:
            model = _find(hub, name, version)
        except Refusal as refusal:
            if refusal.status != 500:
                raise
            response.status_code = 503
            return {"name": name, "ready": False}
        response.status_code = 503 if hub.draining else 200
        return {"name": model.name, "ready": not hub.draining}

    @routes.post("/models/{name}/infer", openapi_extra=INFER_DOCUMENT)
    @routes.post("/models/{name}/versions/{version}/infer", openapi_extra=INFER_DOCUMENT)
    async def infer(request: Request, name: str, version: str = _VERSION) -> Response:
        """Segment images, pixels (UINT8) or files (BYTES); thresholds are `parameters` of the request."""
        model = _find(hub, name, version)
        hub.check_room(model)
        options = hub.options
        body = await read_body(request, options.max_bytes, options.body_timeout)
        length = request.headers.get("inference-header-content-length")

        async def work() -> tuple[bytes, int | None]:
            asked = await hub.in_thread(lambda: read_request(body, length, options.max_pixels, options.queue))
            maps = await _segment(hub, model, asked)
            return await hub.in_thread(lambda: write_response(asked, model.name, tensors(maps)))

        content, header = await unless_gone(request, work(), options.timeout)
        request.state.told = {"model": model.name}
        if header is None:
            return Response(content, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(header)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    return routes


def _find(hub: Hub, name: str, version: str) -> ServedModel:
    model = hub.model(name)
    if version != _VERSION:
        raise Refusal(404, f"model {model.name} has no version {version!r}; it has {_VERSION}")
    return model


async def _segment(hub: Hub, model: ServedModel, asked: Asked) -> list[PanopticMap]:
    given = {name: str(value) for name, value in asked.parameters.items() if _is_threshold(model, name)}
    settings = hub.settings(model, given)
    tasks = [
        asyncio.ensure_future(hub.segment(model, partial(_at_hand, one), settings)) for one in asked.images
    ]
    try:
        return [found.panoptic for found in await asyncio.gather(*tasks)]
    finally:
        for task in tasks:  # where one was refused, or the client left, the others are of no use
            task.cancel()


def _is_threshold(model: ServedModel, name: str) -> bool:
    """Clients put other things among the parameters, too."""
    return name in model.settings or name in type(model.own).former_names


def _at_hand(image: Rgb) -> Rgb:
    return image
