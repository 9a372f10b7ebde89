"""Sources: times, order, what is lost and what is not, and coming back from the dead."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import picture, write_film
from PIL import Image

from pansight.errors import InputError
from pansight.video.backoff import Backoff
from pansight.video.frames import Frame, SourceEvent
from pansight.video.locations import Location, locate
from pansight.video.sources import Mixer, Source, SourceOptions


def read(location: Location, **options: Any) -> tuple[list[Frame], Source, list[SourceEvent]]:
    events: list[SourceEvent] = []
    mixer = Mixer([location], [location.name], SourceOptions(**options), events.append)
    frames = list(mixer)
    mixer.close()
    return frames, mixer.sources[0], events


def test_a_film_from_its_first_frame_to_its_last(film: Callable[..., Path]) -> None:
    frames, source, events = read(locate(str(film(frames=12))))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(12)])
    assert [event.state.value for event in events] == ["starting", "running", "ended"]
    assert source.expected == 12 and source.counts.decoded == 12 and source.counts.dropped == 0
    assert np.abs(frames[3].image.astype(int) - picture(3)).mean() < 6
    assert frames[0].source == "film" and frames[0].captured > 1e9


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.5, 0.52, 1.3]
    frames, _, _ = read(locate(str(write_film(tmp_path / "v.mp4", times))))
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-4)


def test_odd_sizes_and_ten_bits(film: Callable[..., Path]) -> None:
    odd, _, _ = read(locate(str(film("odd.mkv", codec="ffv1", pix_fmt="bgr0", height=47, width=63))))
    assert odd[0].image.shape == (47, 63, 3)
    deep, _, _ = read(locate(str(film("deep.mkv", codec="ffv1", pix_fmt="yuv420p10le"))))
    assert deep[0].image.dtype == np.uint8
    assert np.abs(deep[2].image.astype(int) - picture(2)).mean() < 8


def test_interlaced_frames_are_deinterlaced(film: Callable[..., Path]) -> None:
    path = film("i.ts", codec="mpeg2video", frames=12, options={"flags": "+ilme+ildct", "top": "1"})
    frames, _, _ = read(locate(str(path)))
    assert 10 <= len(frames) <= 12
    times = [frame.seconds for frame in frames]
    assert times == sorted(times) and len(set(times)) == len(times)


def test_raw_streams_have_no_times(tmp_path: Path, film: Callable[..., Path]) -> None:
    raw = tmp_path / "raw.h264"
    with av.open(str(film(frames=6))) as source, av.open(str(raw), "w", format="h264") as output:
        stream: Any = source.streams.video[0]
        target: Any = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = target
                output.mux(packet)
    frames, _, _ = read(locate(str(raw)))
    steps = np.diff([frame.seconds for frame in frames])
    assert len(frames) == 6 and (steps > 0).all()


def test_broken_packets_are_left_out(film: Callable[..., Path]) -> None:
    path = film("broken.ts", frames=40, codec="mpeg2video")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(len(content) // 4, len(content) // 2, 60).tolist():
        content[place] ^= 0xFF
    path.write_bytes(content)
    frames, source, _ = read(locate(str(path)))
    assert source.error is None and len(frames) > 10
    times = [frame.seconds for frame in frames]
    assert times == sorted(times)


def test_a_film_that_is_cut_short_ends(film: Callable[..., Path]) -> None:
    path = film("cut.ts", frames=40, codec="mpeg2video")
    path.write_bytes(path.read_bytes()[:-700])
    frames, source, _ = read(locate(str(path)))
    assert len(frames) > 20 and source.state.value == "ended"


@pytest.mark.parametrize("content", [b"", b"no film at all" * 50])
def test_what_is_no_film_fails_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    frames, source, events = read(locate(str(path)))
    assert not frames and isinstance(source.error, InputError)
    assert "x.mp4" in str(source.error) and "\n" not in str(source.error)
    assert events[-1].state.value == "failed"


def test_images_are_frames(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    frames, _, _ = read(locate(str(tmp_path)))
    assert [frame.seconds for frame in frames] == [0, 0.04, 0.08]
    assert np.array_equal(frames[2].image, picture(2))


def test_a_gif_that_moves(tmp_path: Path) -> None:
    path = tmp_path / "m.gif"
    images = [Image.fromarray(picture(number)) for number in range(4)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    frames, _, _ = read(locate(str(path)))
    assert len(frames) == 4 and frames[3].seconds == pytest.approx(0.3, abs=0.02)


def test_the_latest_frame_wins_and_drops_are_counted(film: Callable[..., Path]) -> None:
    mixer = Mixer([locate(str(film(frames=40)))], ["film"], SourceOptions(policy="latest"))
    mixer.limit(1)
    frames = []
    for frame in mixer:
        frames.append(frame)
        while mixer.sources[0].state.value != "ended":
            time.sleep(0.01)
        mixer.done()
    mixer.close()
    assert [frame.index for frame in frames] == [frames[0].index, 39]
    assert mixer.sources[0].counts.dropped == 40 - 2


def test_every_frame_waits_in_bounded_memory(film: Callable[..., Path]) -> None:
    source = Source(locate(str(film(frames=40))))
    source.start()
    deadline = time.monotonic() + 10
    while source.counts.decoded < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert source.counts.decoded == 5  # four wait, one is held
    source.stop()
    source.join(5.0)
    assert not source._thread.is_alive()


def test_sources_take_turns(film: Callable[..., Path]) -> None:
    locations = [locate(str(film(f"{n}.mp4", frames=8))) for n in range(3)]
    mixer = Mixer(locations, ["a", "b", "c"])
    frames = list(mixer)
    mixer.close()
    assert len(frames) == 24
    for name in "abc":
        own = [frame.index for frame in frames if frame.source == name]
        assert own == list(range(8))


def test_waits_grow_and_are_shaken() -> None:
    backoff = Backoff(first=0.5, longest=15.0, jitter=0.5)
    assert [backoff.wait(n, 0.0) for n in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert backoff.wait(3, 1.0) == 2.0
    assert 0.25 <= backoff.wait(0) <= 0.5
    assert backoff.wait(10_000, 0.0) == 15


SERVER = """
import sys, time
from fractions import Fraction
import av, numpy as np

address = f"tcp://127.0.0.1:{sys.argv[1]}?listen=1&listen_timeout=60000"
with av.open(address, "w", format="mpegts") as output:
    stream = output.add_stream("mpeg2video", rate=25)
    stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "5"}
    for number in range(100_000):
        image = np.full((48, 64, 3), number % 200, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        output.mux(stream.encode(frame))
        time.sleep(0.005)
"""
"""PyAV's own listener, in a process: it holds the interpreter while it waits for somebody."""


class LoopingServer:
    """Sends MPEG-TS to whoever connects, as long as it lives; may be killed and started again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", SERVER, str(self.port)])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


def test_a_stream_whose_server_is_killed_comes_back() -> None:
    server = LoopingServer()
    events: list[SourceEvent] = []
    location = locate(f"tcp://127.0.0.1:{server.port}")
    options = SourceOptions(
        policy="every-frame", silence=2.0, give_up=60.0, backoff=Backoff(first=0.1, longest=0.3)
    )
    mixer = Mixer([location], ["live"], options, events.append)
    server.start()
    frames: list[Frame] = []
    since = 0  # frames of the present connection; what was sent before the kill still comes
    connected = 0
    for frame in mixer:
        frames.append(frame)
        connections = mixer.sources[0].counts.connections
        since, connected = (since + 1 if connections == connected else 1), connections
        if since == 10:
            if connected == 3:
                break
            server.kill()
            server.start()
    mixer.close()
    server.kill()
    assert connected == 3
    times, numbers = [f.seconds for f in frames], [f.index for f in frames]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert numbers == sorted(set(numbers))
    states = [event.state.value for event in events]
    assert states[0] == "starting"  # the server may not listen yet when it is first asked
    assert states.count("running") >= 3 and "reconnecting" in states


def test_a_stream_that_never_was_is_given_up_without_its_password() -> None:
    location = locate("rtsp://user:hunter2@127.0.0.1:9/live?token=hunter3")
    frames, source, events = read(location, give_up=0.2, backoff=Backoff(first=0.05, longest=0.1))
    assert not frames and source.error is not None
    said = str(source.error) + "".join(event.message + event.source for event in events)
    assert "hunter" not in said and "***@127.0.0.1" in said
    assert "check the address" in said
