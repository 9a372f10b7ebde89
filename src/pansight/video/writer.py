"""`VideoWriter`: frames to H.264 in MP4, with their own times and the source's sound."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pansight.errors import InputError
from pansight.files import require_extra

_TICKS = 90_000
"""Of a second: every usual frame rate is a whole number of them."""

_COPIED = frozenset(("aac", "mp3", "ac3", "eac3", "alac", "opus"))
"""Codecs of sound that MP4 holds as they are; others become AAC."""


class VideoWriter:
    """Writes an MP4 atomically: it appears under its own name only when it is closed.

        with VideoWriter("out.mp4", sound_from="in.mp4") as writer:
            for result in segmenter.track("in.mp4"):
                writer.write(pansight.draw.overlay(result.image, result.panoptic), result.seconds)

    Args:
        path: the file; its suffix chooses the container: .mp4, .mkv or .mov.
        rate: frames per second for frames without a time; also decides how long the last one is shown.
        sound_from: a file whose first sound is kept, in step with the frames.
        quality: of H.264, 0 (best) to 51; 20 is visually lossless for most viewers.

    An odd width or height, which H.264's usual colour format cannot have, gets one more row or column.
    Raises InputError when the file cannot be written or a frame has another size than the first,
    MissingExtraError without PyAV.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float = 25.0,
        sound_from: str | os.PathLike[str] | None = None,
        quality: int = 20,
    ) -> None:
        if not rate > 0:
            raise InputError(f"rate must be positive, got {rate}")
        if not 0 <= quality <= 51:
            raise InputError(f"quality {quality} is out of range; use 0 to 51")
        self.path = Path(path)
        self.frames = 0
        if self.path.suffix.lower() not in (".mp4", ".m4v", ".mov", ".mkv"):
            raise InputError(f"{self.path}: not a suffix for H.264 video; use .mp4, .mov or .mkv")
        self._av: Any = require_extra("av", "video")
        self._step = round(_TICKS / rate)
        self._quality = quality
        self._stack = ExitStack()
        self._temporary = self.path.parent / f".{secrets.token_hex(8)}{self.path.suffix}"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._output = self._av.open(os.fspath(self._temporary), mode="w")
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"cannot write {self.path}: {reason}; choose another folder") from error
        self._video: Any = None
        self._size: tuple[int, int] | None = None
        self._last = -1
        self._durations: dict[int, int] = {}
        self._sound: _Sound | None = None
        self._sound_from = None if sound_from is None else Path(sound_from)
        self._closed = False

    def write(
        self, image: UInt8[np.ndarray, "h w 3"], seconds: float | None = None, duration: float | None = None
    ) -> None:
        """Add a frame, RGB 0..255, shown from `seconds` on (None: one step after the last).

        `duration`: how long it is shown if none follows.
        """
        if self._closed:
            raise InputError(f"{self.path} is finished; make another VideoWriter")
        height, width = image.shape[:2]
        if self._video is None:
            self._start(height, width)
        if (height, width) != self._size:
            assert self._size is not None
            raise InputError(
                f"{self.path}: a frame of {width} x {height} after {self._size[1]} x {self._size[0]}; "
                "resize it, or write it to another file"
            )
        ticks = self._last + self._step if seconds is None else round(seconds * _TICKS)
        if seconds is None and self._last < 0:
            ticks = 0
        ticks = max(ticks, self._last + 1)
        self._durations[ticks] = self._step if duration is None else max(1, round(duration * _TICKS))
        if len(self._durations) > 256:
            self._durations.pop(next(iter(self._durations)))
        self._last = ticks
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        self._mux(self._video.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Finish the file. Without frames no file is written."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._video is not None:
                self._mux(self._video.encode())
                if self._sound is not None:
                    self._sound.copy_until((self._last + self._durations.get(self._last, 0)) / _TICKS)
                self._output.close()
                self._temporary.replace(self.path)
            else:
                with suppress(Exception):  # a container without a stream may refuse to be closed
                    self._output.close()
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"cannot write {self.path}: {reason}; free space") from error
        finally:
            if self._sound is not None:
                self._sound.close()
            self._temporary.unlink(missing_ok=True)

    def abandon(self) -> None:
        """End without a file."""
        if not self._closed:
            self._closed = True
            with suppress(Exception):
                self._output.close()
            if self._sound is not None:
                self._sound.close()
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Ctrl-C, or an error half-way: what there is is a film, too
        self.close()

    def _start(self, height: int, width: int) -> None:
        self._size = (height, width)
        stream = self._output.add_stream("libx264", rate=Fraction(_TICKS, self._step).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.options = {"preset": "veryfast", "crf": str(self._quality)}
        self._video = stream
        if self._sound_from is not None:
            self._sound = _Sound(self._av, self._output, self._sound_from)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if packet.pts is not None:
                at = round(float(packet.pts * packet.time_base) * _TICKS)
                step = self._durations.get(at, self._step)
                packet.duration = max(1, round(Fraction(step, _TICKS) / packet.time_base))
                if self._sound is not None:
                    self._sound.copy_until(at / _TICKS)
            self._output.mux(packet)


class _Sound:
    """The first sound of a file, packet by packet, copied as far as the video has got."""

    def __init__(self, package: Any, output: Any, path: Path) -> None:
        self._av, self._output = package, output
        self._input: Any = None
        try:
            self._input = package.open(os.fspath(path), mode="r")
        except OSError as error:
            raise InputError(f"{path}: its sound cannot be read ({error.strerror or error})") from error
        streams = self._input.streams.audio
        if not streams:
            self.close()
            return
        self._source = streams[0]
        self._zero = (self._input.start_time or 0) / 1_000_000
        self._copied = self._source.codec_context.name in _COPIED
        if self._copied:
            self._target = output.add_stream_from_template(self._source)
        else:
            self._target = output.add_stream("aac", rate=self._source.codec_context.sample_rate)
        self._packets: Iterator[Any] | None = self._ready()
        self._next: Any = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        """Mux all sound that begins before that time."""
        while self._input is not None and self._next is not None and self._begin(self._next) < seconds:
            self._output.mux(self._next)
            assert self._packets is not None
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file that is read."""
        if self._input is not None:
            self._input.close()
            self._input = None

    def _begin(self, packet: Any) -> float:
        return float(packet.pts * packet.time_base) if packet.pts is not None else 0.0

    def _ready(self) -> Iterator[Any]:
        """Packets of the output's stream, in time from the beginning of the film."""
        for packet in self._input.demux(self._source):
            if self._copied:
                if packet.dts is None or not packet.size:
                    continue
                shift = round(self._zero / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self._target
                yield packet
                continue
            with suppress(self._av.error.InvalidDataError):
                for frame in packet.decode():
                    if frame.pts is not None:
                        frame.pts -= round(self._zero / frame.time_base)
                    yield from self._target.encode(frame)
        if not self._copied:
            yield from self._target.encode(None)
