"""Tensors of the Open Inference Protocol v2: JSON lists, and the binary tensor extension.

Source: https://github.com/kserve/open-inference-protocol (REST), and Triton's "Binary Tensor Data Extension",
which the Triton and KServe clients use by default.
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from pansight.panoptic import PanopticMap
from pansight.runtime.engines.protocol import Rgb
from pansight.serve.failures import Refusal, bad_request
from pansight.serve.uploads import decode

INPUT = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
"""RGB, images of one size; datatype BYTES and shape [n] is taken, too: image files, in JSON as base64."""

OUTPUTS = (
    {"name": "ids", "datatype": "INT32", "shape": [-1, -1, -1]},
    {"name": "categories", "datatype": "INT32", "shape": [-1, -1]},
    {"name": "scores", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "areas", "datatype": "INT32", "shape": [-1, -1]},
)
"""ids: 0 is void, else 1 + the row of the segment; rows without a segment have category -1."""

_NAMES = tuple(str(output["name"]) for output in OUTPUTS)


@dataclass(frozen=True)
class Asked:
    """An inference request that has been read."""

    images: list[Rgb]
    id: str | None
    parameters: Mapping[str, Any]
    outputs: dict[str, bool]
    """names of those wanted; true: as binary"""


def read_request(body: bytes, header_length: str | None, max_pixels: int, most_images: int) -> Asked:
    """Read the body of an infer request; `header_length` is the header Inference-Header-Content-Length.

    Raises Refusal, 400 or 413, one line that names what is wrong.
    """
    text, binary = _split(body, header_length)
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise bad_request("the body is not valid JSON; see the Open Inference Protocol v2") from None
    if not isinstance(request, dict):
        raise bad_request("the request must be a JSON object with inputs")
    parameters = _object(request, "parameters")
    id = request.get("id")
    if id is not None and not isinstance(id, str):
        raise bad_request("id must be a string")
    tensor = _only_input(request.get("inputs"))
    images = _images(tensor, binary, max_pixels, most_images)
    return Asked(images, id, parameters, _wanted(request, parameters))


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdigit() or int(header_length) > len(body):
        raise bad_request(f"Inference-Header-Content-Length must be 0 to {len(body)}, the length of the body")
    return body[: int(header_length)], body[int(header_length) :]


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"{key} must be a JSON object")
    return value


def _only_input(inputs: object) -> Mapping[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise bad_request("inputs must be a list of one tensor, image")
    if inputs[0].get("name") != INPUT["name"]:
        raise bad_request("the input must be called image")
    return inputs[0]


def _images(tensor: Mapping[str, Any], binary: bytes, max_pixels: int, most_images: int) -> list[Rgb]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
        raise bad_request("shape of image must be a list of positive integers")
    size = _object(tensor, "parameters").get("binary_data_size")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise bad_request(f"binary_data_size of image is {size!r}, but {len(binary)} bytes follow the JSON")
    content = binary if size is not None else None
    if content is None and "data" not in tensor:
        raise bad_request("image has no data")
    kind = tensor.get("datatype")
    if kind == "BYTES":
        if len(shape) not in (1, 2) or int(np.prod(shape, dtype=object)) > most_images:
            raise bad_request(f"shape of image files must be [n], n 1 to {most_images}")
        files = _files(tensor.get("data"), content)
        if len(files) != int(np.prod(shape)):
            raise bad_request(f"image has shape {shape} and {len(files)} files")
        images = [decode(file, max_pixels) for file in files]
        if len({image.shape for image in images}) > 1:
            raise bad_request("image files of one request must be of one size; send others one by one")
        return images
    if kind != "UINT8":
        raise bad_request("datatype of image must be UINT8 (pixels) or BYTES (image files)")
    if len(shape) == 3:
        shape = [1, *shape]
    if len(shape) != 4 or shape[3] != 3:
        raise bad_request("shape of image must be [n, height, width, 3]")
    if shape[0] > most_images:
        raise Refusal(413, f"{shape[0]} images are more than the limit of {most_images}; send fewer")
    if shape[1] * shape[2] > max_pixels:
        raise Refusal(413, f"{shape[2]} x {shape[1]} pixels are more than the limit of {max_pixels}")
    return list(_pixels(tensor.get("data"), content, shape))


def _pixels(data: object, content: bytes | None, shape: list[int]) -> UInt8[np.ndarray, "n h w 3"]:
    count = int(np.prod(shape, dtype=object))
    if content is not None:
        if len(content) != count:
            raise bad_request(f"image of shape {shape} needs {count} bytes, got {len(content)}")
        return np.frombuffer(content, np.uint8).reshape(shape)
    try:
        values = np.asarray(data)
    except (ValueError, TypeError):  # ragged
        values = np.zeros(0)
    if values.dtype.kind not in "iu" or values.size != count:
        raise bad_request(f"data of image must be {count} integers for shape {shape}")
    if values.min() < 0 or values.max() > 255:
        raise bad_request("data of image must be 0 to 255")
    return values.astype(np.uint8).reshape(shape)


def _files(data: object, content: bytes | None) -> list[bytes]:
    if content is not None:
        files, place = [], 0
        while place < len(content):
            if place + 4 > len(content):
                raise bad_request("binary data of image is cut short")
            (length,) = struct.unpack_from("<I", content, place)
            place += 4
            if place + length > len(content):
                raise bad_request("binary data of image is cut short")
            files.append(content[place : place + length])
            place += length
        return files
    if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
        raise bad_request("data of image must be a list of base64 strings")
    try:
        return [base64.b64decode(one, validate=True) for one in data]
    except (binascii.Error, ValueError):
        raise bad_request("data of image is not base64") from None


def _wanted(request: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, bool]:
    every = parameters.get("binary_data_output") is True
    outputs = request.get("outputs")
    if outputs is None:
        return dict.fromkeys(_NAMES, every)
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise bad_request("outputs must be a list of objects with a name")
    wanted = {}
    for one in outputs:
        if one.get("name") not in _NAMES:
            raise bad_request(f"no output {one.get('name')!r}; choose from {', '.join(_NAMES)}")
        wanted[str(one["name"])] = bool(_object(one, "parameters").get("binary_data", every))
    return wanted


def tensors(maps: Sequence[PanopticMap]) -> dict[str, Shaped[np.ndarray, "n ..."]]:
    """Maps of one size as the tensors of `OUTPUTS`, all with as many rows as the fullest."""
    maps = [panoptic.remapped() for panoptic in maps]
    rows = max(1, *(len(panoptic.segments) for panoptic in maps)) if maps else 1
    categories = np.full((len(maps), rows), -1, np.int32)
    scores, areas = np.zeros((len(maps), rows), np.float32), np.zeros((len(maps), rows), np.int32)
    for place, panoptic in enumerate(maps):
        for row, segment in enumerate(panoptic.segments):
            categories[place, row], areas[place, row] = segment.category, segment.area
            scores[place, row] = segment.score or 0.0
    ids = np.stack([panoptic.ids for panoptic in maps])
    return {"ids": ids, "categories": categories, "scores": scores, "areas": areas}


def write_response(
    asked: Asked, model: str, values: Mapping[str, Shaped[np.ndarray, "n ..."]]
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where binary tensors follow it (None where none do)."""
    outputs: list[dict[str, Any]] = []
    binary = b""
    for spec in OUTPUTS:
        name = str(spec["name"])
        if name not in asked.outputs:
            continue
        value = values[name]
        output: dict[str, Any] = {"name": name, "datatype": spec["datatype"], "shape": list(value.shape)}
        if asked.outputs[name]:
            content = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
            output["parameters"] = {"binary_data_size": len(content)}
            binary += content
        else:
            output["data"] = value.ravel().tolist()
        outputs.append(output)
    response: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": outputs}
    if asked.id is not None:
        response["id"] = asked.id
    text = json.dumps(response).encode()
    return text + binary, len(text) if binary else None
