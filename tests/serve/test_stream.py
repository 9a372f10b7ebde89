"""Frames over a WebSocket: the newest wins, settings change in between, strangers stay out."""

import base64
import json
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from jaxtyping import UInt8
from serving import Server, Start, as_file, wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.serve.served import ServedModel

Rgb = UInt8[np.ndarray, "h w 3"]


def stream(server: Server, query: str = "", **options: Any) -> ClientConnection:
    """Open a stream."""
    return connect(f"ws://127.0.0.1:{server.port}/v1/stream{query}", max_size=None, **options)


def unframed(message: bytes | str) -> tuple[dict[str, Any], bytes]:
    """Header and pixels of a binary answer."""
    assert isinstance(message, bytes)
    length = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def test_a_frame_is_answered_with_its_map(
    server: Server, segmenter: Segmenter, picture: Rgb, png: bytes
) -> None:
    expected = segmenter(picture)
    with stream(server) as socket:
        socket.send(png)
        answer = json.loads(socket.recv(30))
        assert (answer["frame"], answer["dropped"]) == (1, 0)
        assert [row["id"] for row in answer["segments"]] == [segment.id for segment in expected.segments]
        assert base64.b64decode(answer["panoptic_png"])[:4] == b"\x89PNG"
        socket.send(json.dumps({"format": "rows", "object_threshold": 1.0}))
        socket.send(png)
        header, content = unframed(socket.recv(30))
        assert header["segments"] == [] and header["frame"] == 2
        assert not any(zlib.decompress(content))
        socket.send(json.dumps({"format": "overlay"}))
        socket.send(png)
        header, content = unframed(socket.recv(30))
        assert header["media_type"] == "image/jpeg" and content[:2] == b"\xff\xd8"


def test_the_newest_frame_wins(start: Start, engine: TorchEngine) -> None:
    server = start(ServedModel("small", engine), max_wait=0.0)
    place = server.hub._places["small"]
    hold, runs = threading.Event(), threading.Event()
    segment = place.model.run

    def slow(jobs: Any) -> Any:
        runs.set()
        hold.wait(20)
        return segment(jobs)

    place.batcher._run = slow
    frames = [as_file(np.full((32, 32 + n, 3), 9 * n, np.uint8)) for n in range(6)]
    with stream(server, "?format=rle") as socket:
        socket.send(frames[0])
        assert runs.wait(20)
        for frame in frames[1:]:
            socket.send(frame)
        dropped = server.hub.measures.frames.labels("dropped")
        assert wait_for(lambda: dropped._value.get() == 4)
        hold.set()
        first, last = json.loads(socket.recv(30)), json.loads(socket.recv(30))
    assert (first["frame"], first["width"]) == (1, 32)
    assert (last["frame"], last["width"], last["dropped"]) == (6, 37, 4)


def test_a_broken_frame_is_told_and_the_stream_goes_on(server: Server, png: bytes) -> None:
    with stream(server, "?object_threshold=0.1") as socket:
        for sent, told in (
            (b"no image", "not an image"),
            (b"", "not an image"),
            ("{", "text must be JSON"),
            ("[1]", "text must be JSON"),
            ('{"object_threshold": 9}', "must be 0 to 1"),
            ('{"format": "gif"}', "no format"),
        ):
            socket.send(sent)
            assert told in json.loads(socket.recv(30))["error"]
        socket.send(png)
        assert "segments" in json.loads(socket.recv(30))


@pytest.mark.parametrize("query", ["?model=none", "?format=gif", "?object_threshold=x", "?speed=3"])
def test_a_query_that_makes_no_sense_ends_it(server: Server, query: str) -> None:
    with stream(server, query) as socket:
        assert set(json.loads(socket.recv(30))) == {"error"}
        with pytest.raises(ConnectionClosed):
            socket.recv(30)


def test_pages_of_other_sites_stay_out(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        stream(server, origin="https://evil.example")
    assert caught.value.response.status_code == 403
    with stream(server, origin=f"http://127.0.0.1:{server.port}"):
        pass


def test_the_token_comes_by_header_or_by_subprotocol(start: Start, engine: TorchEngine) -> None:
    server = start(ServedModel("small", engine), token="s3cret")
    refused: list[dict[str, Any]] = [{}, {"subprotocols": ["pansight.v1", f"bearer.{b'wrong'.hex()}"]}]
    for options in refused:
        with pytest.raises(InvalidStatus) as caught:
            stream(server, **options)
        assert caught.value.response.status_code == 401
    with stream(server, additional_headers={"Authorization": "Bearer s3cret"}):
        pass
    with stream(server, subprotocols=["pansight.v1", f"bearer.{b's3cret'.hex()}"]) as socket:
        assert socket.subprotocol == "pansight.v1"


def test_streams_are_limited_and_free_their_place(start: Start, engine: TorchEngine, png: bytes) -> None:
    server = start(ServedModel("small", engine), streams=1)
    with stream(server) as first:
        with stream(server) as second, pytest.raises(ConnectionClosed) as caught:
            second.recv(30)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1013
        first.send(png)
        assert "segments" in json.loads(first.recv(30))
    assert wait_for(lambda: server.hub.streams == 0)
    with stream(server) as third:
        third.send(png)
        assert "segments" in json.loads(third.recv(30))


def test_a_frame_that_is_too_large_ends_the_stream(start: Start, engine: TorchEngine) -> None:
    server = start(ServedModel("small", engine), max_bytes=2048)
    with stream(server) as socket:
        socket.send(b"x" * 5000)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(30)
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009
