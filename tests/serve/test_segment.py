"""`/v1/segment`, `/v1/merge` and what surrounds them, asked as a client asks."""

import base64
import io
import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image
from pycocotools import mask as coco
from serving import Server, Start, as_file, wait_for

from pansight.models.yoso import YOSO
from pansight.panoptic import PanopticMap, rgb_to_ids
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.serve.hub import Broken
from pansight.serve.logs import JsonLines, TextLines
from pansight.serve.served import ServedModel

Rgb = UInt8[np.ndarray, "h w 3"]


def ids_of(content: bytes) -> np.ndarray:
    return rgb_to_ids(np.asarray(Image.open(io.BytesIO(content))))


def check_answer(answer: dict[str, Any], expected: PanopticMap) -> None:
    """The JSON says what the map says."""
    assert (answer["width"], answer["height"]) == (expected.width, expected.height)
    assert [row["id"] for row in answer["segments"]] == [segment.id for segment in expected.segments]
    for row, segment in zip(answer["segments"], expected.segments, strict=True):
        category = expected.categories[segment.category]
        assert row["category"] == segment.category
        assert row["category_id"] == category.dataset_id
        assert row["name"] == category.name
        assert row["isthing"] is category.is_thing
        assert row["score"] == pytest.approx(segment.score, abs=1e-6)
        assert row["area"] == segment.area
        assert row["bbox"] == list(segment.box)


def test_the_body_is_an_image_and_the_answer_its_map(
    server: Server, segmenter: Segmenter, picture: Rgb, png: bytes
) -> None:
    response = server.segment(png)
    assert response.status_code == 200, response.text
    expected = segmenter(picture)
    assert len(expected.segments) > 1
    check_answer(response.json(), expected)
    np.testing.assert_array_equal(ids_of(base64.b64decode(response.json()["panoptic_png"])), expected.ids)
    assert response.json()["model"] == "small"
    assert {"decode", "queue", "network", "merge"} <= set(response.json()["timings_ms"])
    assert "encode;dur=" in response.headers["Server-Timing"]


def test_a_form_may_bring_the_image(server: Server, png: bytes) -> None:
    sent = {"other": ("a.txt", b"x"), "image": ("../../etc/passwd", png)}
    response = server.client.post("/v1/segment", files=sent, data={"note": "hello"})
    assert response.status_code == 200
    assert response.json()["panoptic_png"] == server.segment(png).json()["panoptic_png"]


def test_curl_calls_everything_a_form(server: Server, png: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.client.post("/v1/segment", content=png, headers=headers).status_code == 200


def test_a_png_carries_its_segments(server: Server, segmenter: Segmenter, picture: Rgb, png: bytes) -> None:
    response = server.segment(png, format="png")
    assert response.headers["Content-Type"] == "image/png"
    np.testing.assert_array_equal(ids_of(response.content), segmenter(picture).ids)
    text = Image.open(io.BytesIO(response.content)).text["segments"]  # type: ignore[attr-defined]
    check_answer(json.loads(text), segmenter(picture))


def test_run_lengths_are_those_of_the_map(
    server: Server, segmenter: Segmenter, picture: Rgb, png: bytes
) -> None:
    answer = server.segment(png, format="rle").json()
    expected = segmenter(picture)
    check_answer(answer, expected)
    assert "panoptic_png" not in answer
    for row in answer["segments"]:
        np.testing.assert_array_equal(coco.decode(row["segmentation"]), expected.mask(row["id"]))


def test_an_overlay_is_drawn_on_the_image(server: Server, png: bytes) -> None:
    response = server.segment(png, format="overlay")
    assert response.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (128, 96)


def test_an_image_that_lies_on_its_side_is_turned(server: Server, picture: Rgb) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = server.segment(as_file(picture, "jpeg", exif=exif)).json()
    assert (answer["width"], answer["height"]) == (96, 128)


def test_thresholds_replace_the_models_own_for_one_request(
    server: Server, segmenter: Segmenter, model: YOSO, picture: Rgb, png: bytes
) -> None:
    assert server.segment(png, object_threshold=1).json()["segments"] == []
    scores = sorted({segment.score for segment in segmenter(picture).segments if segment.score is not None})
    middle = (scores[0] + scores[-1]) / 2
    strict = Segmenter(TorchEngine(model, device="cpu", merge={"object_threshold": middle}))
    answer = server.segment(png, object_threshold=middle).json()
    check_answer(answer, strict(picture))
    assert answer["settings"]["object_threshold"] == middle
    check_answer(server.segment(png).json(), segmenter(picture))


def test_sliders_move_without_another_run_of_the_network(server: Server, png: bytes) -> None:
    first = server.segment(png, keep="true").json()
    before = server.hub.measures.batches.labels("small")._sum.get()
    query = {"token": first["token"], "object_threshold": 0.2, "format": "json"}
    merged = server.client.post("/v1/merge", params=query)
    assert merged.status_code == 200, merged.text
    assert server.hub.measures.batches.labels("small")._sum.get() == before
    fresh = server.segment(png, object_threshold=0.2).json()
    assert merged.json()["segments"] == fresh["segments"]
    assert merged.json()["panoptic_png"] == fresh["panoptic_png"]
    assert "network" not in merged.json()["timings_ms"]


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({}, 400, "token"),
        ({"token": "gone"}, 404, "segment the image again"),
        ({"token": "../../etc/passwd"}, 404, "segment the image again"),
    ],
)
def test_a_token_that_is_none(server: Server, query: dict[str, str], status: int, told: str) -> None:
    response = server.client.post("/v1/merge", params=query)
    assert (response.status_code, told in response.json()["error"]) == (status, True)


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({"model": "yolo"}, 404, "no model 'yolo' here; choose one of small"),
        ({"model": "../small"}, 404, "no model"),
        ({"format": "polygons"}, 400, "no format 'polygons'; use json, png, overlay, rle"),
        ({"object_threshold": "high"}, 400, "object_threshold must be a number, got 'high'"),
        ({"object_threshold": "nan"}, 400, "object_threshold must be 0 to 1, got nan"),
        ({"object_threshold": "7"}, 400, "object_threshold must be 0 to 1, got 7"),
        (
            {"object_treshold": "0.5"},
            400,
            "no threshold object_treshold; it has object_threshold, void_below, keep_share",
        ),
        ({"keep_share": "inf"}, 400, "keep_share must be 0 up, got inf"),
        ({"keep_share": "-1"}, 400, "keep_share must be 0 up, got -1"),
    ],
)
def test_a_query_that_makes_no_sense(
    server: Server, png: bytes, query: dict[str, str], status: int, told: str
) -> None:
    response = server.segment(png, **query)
    assert response.status_code == status
    assert told in response.json()["error"]
    assert "\n" not in response.json()["error"]


def test_several_models(start: Start, engine: TorchEngine, model: YOSO, png: bytes) -> None:
    never = TorchEngine(model, device="cpu", merge={"object_threshold": 1.0})
    server = start(ServedModel("first", engine), ServedModel("second", never))
    assert server.segment(png).json()["model"] == "first"
    second = server.segment(png, model="second").json()
    assert (second["model"], second["segments"]) == ("second", [])
    listed = server.client.get("/v1/models").json()["models"]
    assert [model["name"] for model in listed] == ["first", "second"]
    assert listed[1]["settings"][0]["default"] == 1
    assert listed[0]["categories"][0] == {
        "name": "person",
        "id": 1,
        "isthing": True,
        "color": listed[0]["categories"][0]["color"],
    }


def test_damaged_weights_are_our_fault_and_the_other_model_serves(
    start: Start, engine: TorchEngine, png: bytes
) -> None:
    server = start(ServedModel("good", engine), Broken("bad", "bad.safetensors is cut short"))
    response = server.segment(png, model="bad")
    assert response.status_code == 500
    assert response.json() == {"error": "model bad cannot be used: bad.safetensors is cut short"}
    assert server.segment(png).status_code == 200
    assert server.client.get("/v2/health/live").status_code == 200
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.client.get("/v2/models/bad/ready").status_code == 503
    assert server.client.get("/v2/models/good/ready").status_code == 200


def test_weights_that_break_while_serving_answer_500(start: Start, model: YOSO, png: bytes) -> None:
    breaking = TorchEngine(model, device="cpu")
    server = start(ServedModel("breaking", breaking))
    assert server.segment(png).status_code == 200
    next(breaking.network.parameters()).fill_(float("nan"))
    response = server.segment(png)
    assert response.status_code == 500
    assert "its weights are damaged" in response.json()["error"]


def test_a_bug_is_one_line_and_a_number_that_the_log_has(
    start: Start, engine: TorchEngine, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    model = ServedModel("buggy", engine)
    model.run = lambda jobs: [][1]  # type: ignore[method-assign]
    server = start(model)
    logging.getLogger("pansight.serve").propagate = True
    response = server.segment(png)
    assert response.status_code == 500
    assert response.json()["error"].startswith("internal error; the server's log has it as request ")
    assert "IndexError" in caplog.text
    assert "IndexError" not in response.text


def test_a_full_queue_answers_429(start: Start, engine: TorchEngine, png: bytes) -> None:
    server = start(ServedModel("small", engine), queue=1, max_wait=0.0)
    hold = threading.Event()
    place = server.hub._places["small"]
    segment = place.model.run

    def slow(jobs: Any) -> Any:
        hold.wait(20)
        return segment(jobs)

    place.batcher._run = slow
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(server.segment, png) for _ in range(8)]
        assert wait_for(lambda: place.batcher._running and place.batcher.depth == 1)
        response = server.segment(png)
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) >= 1
        assert "queue is full" in response.json()["error"]
        hold.set()
        statuses = sorted(one.result().status_code for one in waiting)
    assert statuses.count(200) + statuses.count(429) == 8
    assert statuses.count(200) >= 2


def test_a_client_that_hangs_up_frees_its_place(start: Start, engine: TorchEngine, png: bytes) -> None:
    server = start(ServedModel("small", engine), queue=1, max_wait=0.0)
    hold = threading.Event()
    place = server.hub._places["small"]
    segment = place.model.run
    seen: list[int] = []

    def slow(jobs: Any) -> Any:
        seen.append(len(jobs))
        hold.wait(20)
        return segment(jobs)

    place.batcher._run = slow
    head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(png)}\r\n\r\n".encode()
    clients = []

    def waiting(number: int) -> bool:
        return len(seen) == 1 and place.batcher.depth == number

    for number in (0, 1):  # the first runs, the second waits
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(head + png)
        clients.append(client)
        assert wait_for(partial(waiting, number))
    clients[1].close()
    assert wait_for(lambda: place.batcher.depth == 0)
    clients[0].close()
    hold.set()
    assert server.segment(png).status_code == 200
    assert seen == [1, 1]


def test_a_token_guards_everything_but_probes_and_the_page(
    start: Start, engine: TorchEngine, png: bytes
) -> None:
    server = start(ServedModel("small", engine), token="s3cret")
    for path in ("/v1/models", "/metrics", "/openapi.json", "/v2/models/small"):
        response = server.client.get(path)
        assert response.status_code == 401, path
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert server.client.get(path, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert server.segment(png).status_code == 401
    for wrong in ("Bearer wrong", "Basic s3cret", "Bearer", "s3cret", "Bearer s3cret\u00e9".encode()):
        sent = {"Authorization": wrong}
        response = server.client.post("/v1/segment", content=png, headers=sent)  # type: ignore[arg-type]
        assert response.status_code == 401
    for path in ("/", "/config.json", "/v2/health/live", "/v2/health/ready", "/js/main.js"):
        assert server.client.get(path).status_code == 200, path
    assert server.client.get("/config.json").json()["models"] == []


def test_other_sites_may_not_ask_unless_they_are_named(
    start: Start, server: Server, engine: TorchEngine
) -> None:
    other = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in server.client.get("/v1/models", headers=other).headers
    open_one = start(ServedModel("small", engine), cors_origins=("https://example.org",))
    answer = open_one.client.options("/v1/segment", headers=other)
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    other["Origin"] = "https://evil.example"
    assert "access-control-allow-origin" not in open_one.client.options("/v1/segment", headers=other).headers


def test_prometheus_can_read_what_was_counted(server: Server, png: bytes) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    server.segment(png)
    server.client.get("/what/is/this\u00e9")
    response = server.client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    answered = [
        s
        for s in families["pansight_requests"].samples
        if s.labels == {"route": "/v1/segment", "status": "200"}
    ]
    assert answered[0].value >= 1
    assert {s.labels["route"] for s in families["pansight_requests"].samples} <= {
        "/v1/segment",
        "/v1/merge",
        "/v1/models",
        "/metrics",
        "unknown",
        "page",
        "/{path:path}",
    }
    stages = {s.labels["stage"] for s in families["pansight_stage_seconds"].samples if "stage" in s.labels}
    assert {"decode", "queue", "network", "merge", "encode"} <= stages
    for name in ("pansight_batch_images", "pansight_queue_images", "pansight_held_bytes", "pansight_images"):
        assert name in families


def test_the_interface_describes_itself_with_examples(server: Server) -> None:
    document = server.client.get("/openapi.json").json()
    operation = document["paths"]["/v1/segment"]["post"]
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert {"model", "format", "keep", "object_threshold"} <= set(names)
    assert "multipart/form-data" in operation["requestBody"]["content"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert {"width", "height", "segments", "panoptic_png"} <= set(example)
    assert set(example["segments"][0]) == {
        "id",
        "category",
        "category_id",
        "name",
        "isthing",
        "score",
        "area",
        "bbox",
    }
    assert {"400", "413", "415", "422", "429", "500", "503"} <= set(operation["responses"])
    assert (
        "example"
        in document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    )


def test_browsers_are_told_to_be_careful(server: Server) -> None:
    headers = server.client.get("/").headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_log_is_json_lines() -> None:
    record = logging.LogRecord("pansight.serve", logging.INFO, "", 1, "request", (), None)
    record.fields = {"status": 200, "path": "/a\nb"}
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "level": "info",
        "message": "request",
        "status": 200,
        "path": "/a\nb",
    }
    assert "status=200" in TextLines().format(record)


def test_another_method_is_told_which_ones_there_are(server: Server) -> None:
    for path in ("/v1/segment", "/v2/models/small/infer"):
        answer = server.client.get(path)
        assert answer.status_code == 405 and answer.headers["allow"] == "POST", path
        assert "takes POST" in answer.json()["error"]
    assert server.client.get("/v1/nothing").status_code == 404
