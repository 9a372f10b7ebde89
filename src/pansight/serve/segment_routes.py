"""`/v1`: an image in, its panoptic map out."""

from typing import Any

from fastapi import APIRouter, Request, Response

from pansight.serve.answers import ROWS_TYPE, Form, Written, framed
from pansight.serve.documents import MERGE_DOCUMENT, segment_document
from pansight.serve.failures import bad_request
from pansight.serve.hub import Hub, Segmented, unless_gone
from pansight.serve.served import ServedModel
from pansight.serve.uploads import decode, image_bytes, read_body

_OWN = ("model", "format", "keep", "token")
"""Query parameters that are not thresholds."""


def segment_routes(hub: Hub) -> APIRouter:
    """The routes of one server."""
    routes = APIRouter(prefix="/v1", tags=["segment"])

    @routes.post("/segment", openapi_extra=segment_document(hub))
    async def segment(request: Request) -> Response:
        """Segment one image.

        The image file is the body, or the field `image` of a multipart form. The answer is JSON with the
        panoptic PNG (id = R + 256 G + 65536 B, 0 is void) in base64, or what `format` asks for.
        """
        model, form, asked = _asked(hub, request)
        settings = hub.settings(model, asked)
        hub.check_room(model)
        options = hub.options
        body = await read_body(request, options.max_bytes, options.body_timeout)
        content = image_bytes(body, request.headers.get("content-type", ""))
        keep = request.query_params.get("keep", "").lower() in ("1", "true", "yes")

        async def work() -> tuple[Segmented, Written]:
            found = await hub.segment(model, lambda: decode(content, options.max_pixels), settings, keep)
            return found, await hub.written(form, found)

        found, written = await unless_gone(request, work(), options.timeout)
        return _response(request, found, written)

    @routes.post("/merge", openapi_extra=MERGE_DOCUMENT)
    async def merge(request: Request) -> Response:
        """Merge again what the network said of an image that was segmented with `keep=true`.

        Only the merge runs, with the thresholds asked for; the form of the answer is that of `/v1/segment`.
        """
        token = request.query_params.get("token")
        if not token:
            raise bad_request("the query has no token; segment with keep=true and take it from the answer")
        form = _form(request)
        asked = _thresholds(request)
        await read_body(request, 1024, 5.0)

        async def work() -> tuple[Segmented, Written]:
            found = await hub.merge_again(token, asked)
            return found, await hub.written(form, found)

        found, written = await unless_gone(request, work(), hub.options.timeout)
        return _response(request, found, written)

    @routes.get("/models")
    async def models() -> dict[str, Any]:
        """The models that are served, their categories and thresholds."""
        return {
            "models": [describe(model) for model in hub.models],
            "limits": {"bytes": hub.options.max_bytes, "pixels": hub.options.max_pixels},
        }

    return routes


def describe(model: ServedModel) -> dict[str, Any]:
    """What a client should know of a model: categories by contiguous index, thresholds with their ranges."""
    return {
        "name": model.name,
        "method": model.method,
        "categories": [
            {
                "name": category.name,
                "id": category.dataset_id,
                "isthing": category.is_thing,
                "color": list(category.color),
            }
            for category in model.categories
        ],
        "settings": [
            {
                "name": one.name,
                "min": one.low,
                "max": one.high,
                "end": one.end,
                "step": one.step,
                "default": one.default,
                "meaning": one.meaning,
            }
            for one in model.settings.values()
        ],
    }


def _asked(hub: Hub, request: Request) -> tuple[ServedModel, Form, dict[str, str]]:
    return hub.model(request.query_params.get("model")), _form(request), _thresholds(request)


def _form(request: Request) -> Form:
    name = request.query_params.get("format", "json")
    try:
        return Form(name)
    except ValueError:
        raise bad_request(f"no format {name!r}; use {', '.join(form.value for form in Form)}") from None


def _thresholds(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.query_params.items() if name not in _OWN}


def _response(request: Request, found: Segmented, written: Written) -> Response:
    request.state.told = {
        "model": found.model.name,
        "batch": found.batch,
        **{f"{stage}_ms": round(1000 * seconds, 1) for stage, seconds in found.times.items()},
    }
    timing = ", ".join(f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in found.times.items())
    headers = {"Server-Timing": timing, "Cache-Control": "no-store"}
    content = framed(written) if written.media_type == ROWS_TYPE else written.content
    return Response(content, media_type=written.media_type, headers=headers)
