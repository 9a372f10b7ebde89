"""From packets to upright RGB frames with times that make sense, whatever the file does."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from pansight.errors import InputError
from pansight.files import require_extra
from pansight.video.frames import Frame, SourceCounts
from pansight.video.locations import Location

if TYPE_CHECKING:
    import av

_RATE = 25.0
"""Frames a second where a video does not say."""

_NETWORK_SECONDS = 5.0
"""Longest silence of a network before it counts as broken."""


def open_container(location: Location, silence: float = _NETWORK_SECONDS) -> "av.container.InputContainer":
    """Open a file, camera, stream or standard input with PyAV; raises its errors."""
    package: Any = require_extra("av", "video")
    if location.kind == "stdin":
        import sys

        return package.open(sys.stdin.buffer, mode="r")
    if location.kind == "camera":
        return _camera(package, int(location.address))
    if location.kind == "file":
        return package.open(location.address, mode="r")
    # a second of a stream says what it is; FFmpeg's own five would be five of delay
    options = {"fflags": "+genpts+discardcorrupt", "analyzeduration": "1000000"}
    scheme = location.address.split("://", 1)[0].lower()
    if scheme in ("rtsp", "rtsps"):
        # over UDP lost packets are lost; over TCP a frame is whole or late
        options |= {"rtsp_transport": "tcp", "timeout": str(int(silence * 1e6))}
    return package.open(location.address, mode="r", options=options, timeout=(2 * silence, silence))


def _camera(package: Any, number: int) -> "av.container.InputContainer":
    import sys

    if sys.platform == "darwin":
        return package.open(str(number), format="avfoundation", options={"framerate": "30"})
    if sys.platform == "win32":
        raise InputError(
            f"camera {number}: cameras are known by name here; give dshow's, such as 'dshow://video=NAME'"
        )
    return package.open(f"/dev/video{number}", format="v4l2")


class Decoder:
    """Decodes one opened container. Times go on from `start` seconds and never run backwards.

    Broken packets are counted and left out. Of a live stream nothing is shown before its first key frame:
    what comes before is grey. Interlaced frames are deinterlaced, rotated ones turned upright.
    """

    def __init__(
        self,
        container: "av.container.InputContainer",
        location: Location,
        counts: SourceCounts,
        start: float = 0.0,
    ) -> None:
        if not container.streams.video:
            raise InputError(f"{location.shown}: no video in it; give a film, a stream or images")
        self._container = container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._location = location
        self._counts = counts
        self._start = start
        self._zero: float | None = None
        self._last = start
        self._graph: Any = None
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._step = 1 / float(rate) if rate and 1 <= float(rate) <= 1000 else 1 / _RATE
        if container.start_time is not None and not location.is_live:
            self._zero = container.start_time / 1_000_000

    @property
    def has_end(self) -> bool:
        """Whether the container says how long it is: then its end is an end, and no failure."""
        return bool(self._container.duration) and self._location.kind != "camera"

    @property
    def expected(self) -> int | None:
        """How many frames there will be, as far as the container says."""
        if self._location.is_live or self._location.kind == "stdin":
            return None
        if self._stream.frames:
            return int(self._stream.frames)
        length = self._container.duration
        return round(length / 1_000_000 / self._step) if length else None

    def frames(self, stopped: Callable[[], bool]) -> Iterator[Frame]:
        """Frames until the end; raises PyAV's errors where the connection breaks."""
        package: Any = require_extra("av", "video")
        waiting = self._location.kind == "stream"
        started = time.perf_counter()
        for packet in self._container.demux(self._stream):
            if stopped():
                return
            if waiting and not packet.is_keyframe and packet.size:
                continue
            waiting = False
            try:
                decoded = packet.decode()
            except package.error.InvalidDataError:
                self._counts.corrupt += 1
                continue
            except package.error.EOFError:
                break
            for frame in decoded:
                image = self._upright(frame)
                if image is None:
                    continue
                seconds = self._time(frame)
                self._counts.decoded += 1
                yield Frame(
                    image,
                    seconds=seconds,
                    captured=time.time(),
                    decode=time.perf_counter() - started,
                    duration=self._duration(frame),
                )
                started = time.perf_counter()

    def _upright(self, frame: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """RGB; None for a frame that is damaged or that the deinterlacer holds back."""
        if frame.is_corrupt and self._location.kind == "stream":
            self._counts.corrupt += 1
            return None
        if frame.interlaced_frame:
            frame = self._deinterlaced(frame)
            if frame is None:
                return None
        image = frame.to_ndarray(format="rgb24")
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _deinterlaced(self, frame: Any) -> Any:
        package: Any = require_extra("av", "video")
        if self._graph is None:
            graph = package.filter.Graph()
            source = graph.add_buffer(template=self._stream)
            filter_ = graph.add("yadif", "mode=send_frame:deint=interlaced")
            sink = graph.add("buffersink")
            source.link_to(filter_)
            filter_.link_to(sink)
            graph.configure()
            self._graph = graph
        self._graph.push(frame)
        with suppress(package.error.BlockingIOError, package.error.EOFError):
            return self._graph.pull()
        return None

    def _time(self, frame: Any) -> float:
        """Where the frame belongs; without a time, or with one that runs backwards, a step after the last."""
        given = frame.time
        if given is not None:
            if self._zero is None:
                self._zero = given
            given = self._start + given - self._zero
        first = self._counts.decoded == 0
        if given is None or (given <= self._last and not first):
            given = self._last if first else self._last + self._step
        self._last = given
        return given

    def _duration(self, frame: Any) -> float | None:
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        return self._step
