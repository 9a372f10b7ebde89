"""What the OpenAPI document says about bodies and answers that are not JSON models, with examples."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pansight.serve.hub import Hub
    from pansight.serve.served import Setting

_EXAMPLE = {
    "width": 512,
    "height": 384,
    "segments": [
        {
            "id": 1,
            "category": 0,
            "category_id": 1,
            "name": "car",
            "isthing": True,
            "score": 0.97,
            "area": 5120,
            "bbox": [40, 210, 96, 61],
        }
    ],
    "model": "yoso-tiny",
    "settings": {"object_threshold": 0.5},
    "timings_ms": {"decode": 3.1, "queue": 0.4, "network": 41.0, "merge": 9.2},
    "batch": 1,
    "panoptic_png": "iVBORw0KGgo...",
}

ERRORS: dict[str, Any] = {
    status: {
        "description": text,
        "content": {"application/json": {"example": {"error": example}}},
    }
    for status, text, example in (
        ("400", "The request is malformed.", "object_threshold must be 0 to 1, got 7; change it"),
        ("404", "No such model or token.", "no model 'yolo' here; choose one of yoso-tiny"),
        ("408", "The body came too slowly.", "the body did not arrive within 30 seconds; send it faster"),
        ("413", "Too many bytes or pixels.", "20000 x 20000 pixels are more than the limit of 50000000"),
        ("415", "Not an image of a known format.", "not an image of a known format; send JPEG, PNG or WebP"),
        (
            "422",
            "A damaged image.",
            "the image: damaged or cut short (image file is truncated); replace it",
        ),
        (
            "429",
            "The queue is full; Retry-After says when to come back.",
            "the queue is full; try again later",
        ),
        ("500", "The model is damaged.", "model m cannot be used: its weights are damaged"),
        ("503", "No answer in time.", "no answer within 30 seconds; try again later"),
    )
}

_FORMAT = {
    "name": "format",
    "in": "query",
    "description": "json: segments and panoptic PNG in base64; png: the panoptic PNG, segments in its text "
    "chunk `segments`; overlay: the image with segments drawn on it, JPEG; rle: segments with COCO run "
    "lengths; rows: length of the header (uint32, little-endian), JSON header, zlib: for each pixel 0 for "
    "void, else "
    "1 + its segment's place in the list, `bytes` bytes each.",
    "schema": {"type": "string", "enum": ["json", "png", "overlay", "rle", "rows"], "default": "json"},
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}

_ANSWERS = {
    "200": {
        "description": "The panoptic map.",
        "content": {
            "application/json": {"example": _EXAMPLE},
            "image/png": _BINARY,
            "image/jpeg": _BINARY,
            "application/vnd.pansight.rows": _BINARY,
        },
    },
    **ERRORS,
}

MERGE_DOCUMENT: dict[str, Any] = {
    "parameters": [
        {"name": "token", "in": "query", "required": True, "schema": {"type": "string"}},
        _FORMAT,
    ],
    "responses": _ANSWERS,
}


def segment_document(hub: "Hub") -> dict[str, Any]:
    """Parameters, bodies and answers of `/v1/segment`, with the thresholds of the models that are served."""
    thresholds = {one.name: one for model in hub.models for one in model.settings.values()}
    return {
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "description": "The first one if not given.",
                "schema": {"type": "string", "enum": [one.name for one in hub.loaded]},
            },
            _FORMAT,
            {
                "name": "keep",
                "in": "query",
                "description": "Keep the network's outputs; the answer has a `token` for /v1/merge.",
                "schema": {"type": "boolean", "default": False},
            },
            *(
                {
                    "name": one.name,
                    "in": "query",
                    "description": f"{one.meaning}; the model's own if not given.",
                    "schema": _schema(one),
                    "example": one.default,
                }
                for one in thresholds.values()
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": _BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": {"type": "string", "format": "binary"}},
                    }
                },
            },
        },
        "responses": _ANSWERS,
    }


def _schema(setting: "Setting") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer" if setting.whole else "number", "minimum": setting.low}
    if setting.high is not None:
        schema["maximum"] = setting.high
    return schema


INFER_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "example": {
                    "id": "42",
                    "parameters": {"object_threshold": 0.5},
                    "inputs": [
                        {"name": "image", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [0] * 12}
                    ],
                }
            },
            "application/octet-stream": _BINARY,
        },
    },
    "responses": {
        "200": {
            "description": "Ids, categories, scores and areas.",
            "content": {
                "application/json": {
                    "example": {
                        "model_name": "yoso-tiny",
                        "model_version": "1",
                        "id": "42",
                        "outputs": [
                            {"name": "ids", "datatype": "INT32", "shape": [1, 2, 2], "data": [1, 1, 1, 1]},
                            {"name": "categories", "datatype": "INT32", "shape": [1, 1], "data": [12]},
                            {"name": "scores", "datatype": "FP32", "shape": [1, 1], "data": [0.9]},
                            {"name": "areas", "datatype": "INT32", "shape": [1, 1], "data": [4]},
                        ],
                    }
                },
                "application/octet-stream": _BINARY,
            },
        },
        **ERRORS,
    },
}
