"""The Open Inference Protocol v2, JSON and binary, as its clients write it."""

import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
from jaxtyping import UInt8
from serving import Server, as_file

from pansight.panoptic import PanopticMap
from pansight.runtime.segmenter import Segmenter

Rgb = UInt8[np.ndarray, "h w 3"]
INFER = "/v2/models/small/infer"
TYPES = {"INT32": np.dtype("<i4"), "FP32": np.dtype("<f4")}


def pixels(image: Rgb, **more: Any) -> dict[str, Any]:
    """A request with pixels as JSON."""
    tensor = {
        "name": "image",
        "shape": [1, *image.shape],
        "datatype": "UINT8",
        "data": image.ravel().tolist(),
    }
    return {"inputs": [tensor], **more}


def check(outputs: dict[str, np.ndarray], maps: list[PanopticMap]) -> None:
    """The tensors say what the maps say."""
    for place, panoptic in enumerate(maps):
        expected = panoptic.remapped()
        np.testing.assert_array_equal(outputs["ids"][place], expected.ids)
        found = outputs["categories"][place] >= 0
        assert int(found.sum()) == len(expected.segments)
        assert found[: len(expected.segments)].all()
        for row, segment in enumerate(expected.segments):
            assert outputs["categories"][place][row] == segment.category
            assert outputs["areas"][place][row] == segment.area
            assert outputs["scores"][place][row] == pytest.approx(segment.score, rel=1e-4)


def arrays(response: httpx.Response) -> dict[str, np.ndarray]:
    """The outputs of an answer, from JSON or from the bytes behind it."""
    assert response.status_code == 200, response.text
    length = response.headers.get("Inference-Header-Content-Length")
    text = response.content[: int(length)] if length else response.content
    rest = response.content[len(text) :]
    values = {}
    for output in json.loads(text)["outputs"]:
        dtype = TYPES[output["datatype"]]
        if "data" in output:
            assert "binary_data_size" not in output.get("parameters", {})
            flat = np.array(output["data"], dtype)
        else:
            size = output["parameters"]["binary_data_size"]
            flat, rest = np.frombuffer(rest[:size], dtype), rest[size:]
        values[output["name"]] = flat.reshape(output["shape"])
    assert not rest
    return values


def test_metadata_of_server_and_model(server: Server) -> None:
    assert server.client.get("/v2").json()["name"] == "pansight"
    assert server.client.get("/v2/health/live").status_code == 200
    assert server.client.get("/v2/health/ready").status_code == 200
    for path in ("/v2/models/small", "/v2/models/small/versions/1"):
        metadata = server.client.get(path).json()
        assert metadata["name"] == "small" and metadata["versions"] == ["1"]
        assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
        assert [output["name"] for output in metadata["outputs"]] == ["ids", "categories", "scores", "areas"]
        assert server.client.get(f"{path}/ready").json() == {"name": "small", "ready": True}
    for path in ("/v2/models/none", "/v2/models/none/ready", "/v2/models/small/versions/2"):
        response = server.client.get(path)
        assert response.status_code == 404 and set(response.json()) == {"error"}


def test_pixels_as_json(server: Server, segmenter: Segmenter, picture: Rgb) -> None:
    response = server.client.post(INFER, json=pixels(picture, id="seven"))
    body = response.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("small", "1", "seven")
    check(arrays(response), [segmenter(picture)])


def test_nested_lists_and_one_image_without_a_batch(
    server: Server, segmenter: Segmenter, picture: Rgb
) -> None:
    tensor = {"name": "image", "shape": list(picture.shape), "datatype": "UINT8", "data": picture.tolist()}
    check(arrays(server.client.post(INFER, json={"inputs": [tensor]})), [segmenter(picture)])


def test_a_batch_as_triton_clients_send_it(server: Server, segmenter: Segmenter, picture: Rgb) -> None:
    images = np.stack([picture, picture[:, ::-1]])
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "shape": list(images.shape),
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": images.nbytes},
                }
            ],
            "outputs": [
                {"name": "ids", "parameters": {"binary_data": True}},
                {"name": "scores", "parameters": {"binary_data": True}},
                {"name": "categories", "parameters": {"binary_data": False}},
                {"name": "areas", "parameters": {"binary_data": True}},
            ],
        }
    ).encode()
    sent = {"Inference-Header-Content-Length": str(len(header))}
    response = server.client.post(INFER, content=header + images.tobytes(), headers=sent)
    check(arrays(response), [segmenter(images[0]), segmenter(images[1])])


def test_files_as_bytes_tensors(server: Server, segmenter: Segmenter, picture: Rgb, png: bytes) -> None:
    tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES"}
    as_json = {**tensor, "data": [base64.b64encode(png).decode()]}
    check(arrays(server.client.post(INFER, json={"inputs": [as_json]})), [segmenter(picture)])
    binary = struct.pack("<I", len(png)) + png
    tensor["parameters"] = {"binary_data_size": len(binary)}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    sent = {"Inference-Header-Content-Length": str(len(header))}
    check(arrays(server.client.post(INFER, content=header + binary, headers=sent)), [segmenter(picture)])


def test_outputs_that_are_asked_for_and_thresholds(server: Server, picture: Rgb) -> None:
    request = pixels(picture, outputs=[{"name": "areas"}], parameters={"object_threshold": 1, "priority": 0})
    found = arrays(server.client.post(INFER, json=request))
    assert set(found) == {"areas"} and found["areas"].tolist() == [[0]]


SOUND = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
FILE = {"name": "image", "shape": [1], "datatype": "BYTES"}

INVALID: dict[str, tuple[Any, int, str]] = {
    "no object": ([], 400, "must be a JSON object"),
    "no inputs": ({}, 400, "inputs must be a list of one tensor"),
    "two inputs": ({"inputs": [SOUND, SOUND]}, 400, "inputs must be a list of one tensor"),
    "input is a string": ({"inputs": ["image"]}, 400, "inputs must be a list of one tensor"),
    "another name": ({"inputs": [{**SOUND, "name": "x"}]}, 400, "must be called image"),
    "no shape": ({"inputs": [{k: v for k, v in SOUND.items() if k != "shape"}]}, 400, "shape of image"),
    "negative shape": ({"inputs": [{**SOUND, "shape": [1, -1, -1, 3]}]}, 400, "positive integers"),
    "zero": ({"inputs": [{**SOUND, "shape": [1, 0, 1, 3], "data": []}]}, 400, "positive integers"),
    "shape of floats": ({"inputs": [{**SOUND, "shape": [1.0, 1, 1, 3]}]}, 400, "positive integers"),
    "shape of booleans": ({"inputs": [{**SOUND, "shape": [True, 1, 1, 3]}]}, 400, "positive integers"),
    "channels first": ({"inputs": [{**SOUND, "shape": [1, 3, 1, 1]}]}, 400, "[n, height, width, 3]"),
    "huge shape": ({"inputs": [{**SOUND, "shape": [1, 10**9, 10**9, 3]}]}, 413, "more than the limit"),
    "huge batch": ({"inputs": [{**SOUND, "shape": [10**9, 1, 1, 3]}]}, 413, "more than the limit"),
    "too little data": ({"inputs": [{**SOUND, "data": [1, 2]}]}, 400, "must be 3 integers"),
    "too much data": ({"inputs": [{**SOUND, "data": [1, 2, 3, 4]}]}, 400, "must be 3 integers"),
    "ragged data": ({"inputs": [{**SOUND, "data": [[1], [2, 3]]}]}, 400, "must be 3 integers"),
    "floats": ({"inputs": [{**SOUND, "data": [0.1, 0.2, 0.3]}]}, 400, "must be 3 integers"),
    "text": ({"inputs": [{**SOUND, "data": ["a", "b", "c"]}]}, 400, "must be 3 integers"),
    "nulls": ({"inputs": [{**SOUND, "data": [None, 1, 2]}]}, 400, "must be 3 integers"),
    "an object as data": ({"inputs": [{**SOUND, "data": {"a": 1}}]}, 400, "must be 3 integers"),
    "out of range": ({"inputs": [{**SOUND, "data": [1, 2, 300]}]}, 400, "0 to 255"),
    "huge numbers": ({"inputs": [{**SOUND, "data": [1, 2, 10**30]}]}, 400, "must be 3 integers"),
    "another type": ({"inputs": [{**SOUND, "datatype": "FP32"}]}, 400, "UINT8"),
    "no data": ({"inputs": [{k: v for k, v in SOUND.items() if k != "data"}]}, 400, "no data"),
    "not base64": ({"inputs": [{**FILE, "data": ["!"]}]}, 400, "not base64"),
    "no image": ({"inputs": [{**FILE, "data": ["AAAA"]}]}, 415, "not an image"),
    "files without end": ({"inputs": [{**FILE, "shape": [10**9], "data": []}]}, 400, "n 1 to"),
    "fewer files than told": ({"inputs": [{**FILE, "shape": [2], "data": ["AAAA"]}]}, 400, "and 1 files"),
    "unknown output": ({"inputs": [SOUND], "outputs": [{"name": "masks"}]}, 400, "no output 'masks'"),
    "outputs no list": ({"inputs": [SOUND], "outputs": {"name": "ids"}}, 400, "outputs must be a list"),
    "id is a number": ({"inputs": [SOUND], "id": 3}, 400, "id must be a string"),
    "parameters no object": ({"inputs": [SOUND], "parameters": [1]}, 400, "parameters must be"),
    "threshold is text": ({"inputs": [SOUND], "parameters": {"object_threshold": "x"}}, 400, "a number"),
    "threshold out of range": ({"inputs": [SOUND], "parameters": {"object_threshold": 9}}, 400, "0 to 1"),
    "binary that is not there": (
        {"inputs": [{**SOUND, "parameters": {"binary_data_size": 3}}]}, 400, "0 bytes follow the JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_request_is_refused_in_one_line(server: Server, name: str) -> None:
    request, status, told = INVALID[name]
    response = server.client.post(INFER, json=request)
    assert (response.status_code, told in response.json()["error"]) == (status, True), response.text
    assert "\n" not in response.json()["error"] and "Traceback" not in response.text


@pytest.mark.parametrize(
    ("body", "length", "told"),
    [
        (b"", None, "not valid JSON"),
        (b"\xff\xfe{", None, "not valid JSON"),
        (b"[" * 100_000, None, "not valid JSON"),
        (b"{}", "999", "Inference-Header-Content-Length must be 0 to 2"),
        (b"{}", "-1", "Inference-Header-Content-Length"),
        (b"{}", "two", "Inference-Header-Content-Length"),
        (b"{}", "0", "not valid JSON"),
    ],
)
def test_a_body_that_is_no_request(server: Server, body: bytes, length: str | None, told: str) -> None:
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    response = server.client.post(INFER, content=body, headers=headers)
    assert (response.status_code, told in response.json()["error"]) == (400, True), response.text


def test_cut_binary_files_and_files_of_two_sizes(server: Server, png: bytes) -> None:
    for binary in (struct.pack("<I", len(png) + 1) + png, b"\x01\x00"):
        tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES"}
        tensor["parameters"] = {"binary_data_size": len(binary)}
        header = json.dumps({"inputs": [tensor]}).encode()
        sent = {"Inference-Header-Content-Length": str(len(header))}
        response = server.client.post(INFER, content=header + binary, headers=sent)
        assert response.status_code == 400 and "cut short" in response.json()["error"]
    other = as_file(np.zeros((40, 40, 3), np.uint8))
    data = [base64.b64encode(one).decode() for one in (png, other)]
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": data}
    response = server.client.post(INFER, json={"inputs": [tensor]})
    assert response.status_code == 400 and "one size" in response.json()["error"]
