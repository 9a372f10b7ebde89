"""Sources of frames that survive interruptions: each in a thread, with a state and a mailbox."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from pansight.errors import InputError, PansightError
from pansight.video.backoff import Backoff
from pansight.video.decoding import Decoder, open_container
from pansight.video.frames import Frame, SourceCounts, SourceEvent, SourceState
from pansight.video.locations import Location, redacted

Policy: TypeAlias = Literal["every-frame", "latest"]
"""`every-frame`: nothing is lost, decoding waits. `latest`: the newest frame wins, others are dropped."""

_ROOM = 4
"""Frames that may wait of a source whose every frame counts."""


@dataclass(frozen=True)
class SourceOptions:
    """How a source is read.

    `policy`: None: `latest` for cameras and streams, `every-frame` for files. `silence`: seconds without a
    packet after which a stream counts as broken. `give_up`: seconds without a frame after which it has
    failed for good; at the start `give_up_first`.
    """

    policy: Policy | None = None
    silence: float = 5.0
    give_up: float = 600.0
    give_up_first: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)


class Source:
    """One video, decoded in a thread of its own into a bounded mailbox.

    States: starting, running, reconnecting (only streams and cameras), ended, failed. A stream that breaks
    off, ends or falls silent is reopened, after increasing waits; frame numbers and times continue.

    `ready` is called, without arguments, whenever a frame or a new state is available.
    """

    def __init__(
        self,
        location: Location,
        *,
        name: str = "",
        stream: int = 0,
        options: SourceOptions | None = None,
        on_event: Callable[[SourceEvent], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> None:
        self.location = location
        self.name = name or location.name
        self.stream = stream
        self.options = options or SourceOptions()
        self.policy: Policy = self.options.policy or ("latest" if location.is_live else "every-frame")
        self.counts = SourceCounts()
        self.error: PansightError | None = None
        self.expected: int | None = len(location.files) or None
        self._state = SourceState.STARTING
        self._on_event = on_event
        self._ready = ready or (lambda: None)
        self._box: deque[Frame] = deque()
        self._change = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pansight-source-{stream}", daemon=True)
        self._last = 0.0

    @property
    def state(self) -> SourceState:
        """What it is doing."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether no frame will ever come again."""
        with self._change:
            return self._state in (SourceState.ENDED, SourceState.FAILED) and not self._box

    def start(self) -> None:
        """Begin to decode."""
        self._enter(SourceState.STARTING)
        self._thread.start()

    def stop(self) -> None:
        """Begin to end: nothing more is decoded. Does not wait for a network that is silent."""
        self._stop.set()
        with self._change:
            self._box.clear()
            self._change.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    def take(self) -> Frame | None:
        """The next frame, if there is one."""
        with self._change:
            if not self._box:
                return None
            frame = self._box.popleft()
            self._change.notify_all()
            return frame

    @property
    def has_frame(self) -> bool:
        """Whether a frame waits."""
        return bool(self._box)

    def _put(self, frame: Frame) -> None:
        with self._change:
            if self.policy == "latest":
                self.counts.dropped += len(self._box)
                self._box.clear()
            else:
                self._change.wait_for(lambda: len(self._box) < _ROOM or self._stop.is_set())
            if self._stop.is_set():
                return
            self._box.append(frame)
        self._ready()

    def _enter(self, state: SourceState, message: str = "") -> None:
        self._state = state
        if self._on_event is not None:
            self._on_event(SourceEvent(self.name, state, redacted(message), time.time()))
        self._ready()

    def _run(self) -> None:
        try:
            if self.location.kind == "images":
                self._read_images()
            else:
                self._decode()
            self._enter(SourceState.ENDED)
        except PansightError as error:
            self.error = error
            self._enter(SourceState.FAILED, str(error))
        except Exception as error:
            self.error = InputError(f"{self.location.shown}: {_reason(error)}")
            self._enter(SourceState.FAILED, str(self.error))

    def _read_images(self) -> None:
        from pansight.runtime.images import read_image

        step = 1 / 25
        self._enter(SourceState.RUNNING)
        for index, file in enumerate(self.location.files):
            if self._stop.is_set():
                return
            started = time.perf_counter()
            image = read_image(file)
            self.counts.decoded += 1
            self._put(
                Frame(
                    image, self.name, self.stream, index, index * step, time.time(),
                    time.perf_counter() - started, step,
                )
            )  # fmt: skip

    def _decode(self) -> None:
        """Decode until the end; of a live source, again and again."""
        attempt, quiet_since = 0, time.monotonic()
        while not self._stop.is_set():
            before = self.counts.decoded
            problem = ""
            try:
                if self._connection():
                    return
            except PansightError:
                if not self.location.is_live:
                    raise
                problem = "it has no video"
            except Exception as error:  # PyAV's, and what a broken stream makes it raise
                if not self.location.is_live:
                    shown, reason = self.location.shown, _reason(error)
                    raise InputError(f"{shown}: {reason}; check that it is a whole video") from None
                problem = _reason(error)
            if self._stop.is_set():
                return
            if self.counts.decoded > before:
                attempt, quiet_since = 0, time.monotonic()
            limit = self.options.give_up
            if not self.counts.decoded:  # a mistyped address is reported sooner than a lost camera
                limit = min(limit, self.options.give_up_first)
            if time.monotonic() - quiet_since > limit:
                raise InputError(
                    f"{self.location.shown}: no frame for {limit:g} s ({problem or 'it ended'}); "
                    "check the address and the device"
                )
            wait = self.options.backoff.wait(attempt)
            attempt += 1
            self._enter(
                SourceState.RECONNECTING, f"{problem or 'the stream ended'}; retrying in {wait:.1f} s"
            )
            self._stop.wait(wait)

    def _connection(self) -> bool:
        """Decode one connection; True where its end is that of the video."""
        with open_container(self.location, self.options.silence) as container:
            self.counts.connections += 1
            opened = time.monotonic()
            decoder = Decoder(container, self.location, self.counts, self._last)
            self.expected = decoder.expected
            gap = 0.0
            for frame in decoder.frames(self._stop.is_set):
                if self._state is not SourceState.RUNNING:
                    # a stream's time goes on while it is away
                    gap = opened - self._left if self.counts.connections > 1 else 0.0
                    self._enter(SourceState.RUNNING, f"{frame.image.shape[1]} x {frame.image.shape[0]}")
                seconds = frame.seconds + gap
                self._put(
                    replace(
                        frame,
                        source=self.name,
                        stream=self.stream,
                        index=self.counts.decoded - 1,
                        seconds=seconds,
                    )
                )
                self._last, self._left = seconds, time.monotonic()
                if self._stop.is_set():
                    return True
            return not self.location.is_live or decoder.has_end

    _left = 0.0


class Mixer:
    """Frames of several sources as one iterable: those with a frame ready take turns, none waits for another.

    With a `limit`, at most that many frames are in flight at once, until `done` is called for each: so no
    frame grows old in a queue while newer ones are available.

    A source that fails ends alone; its `error` says why.
    """

    def __init__(
        self,
        locations: list[Location],
        names: list[str],
        options: SourceOptions | None = None,
        on_event: Callable[[SourceEvent], None] | None = None,
    ) -> None:
        self._change = threading.Condition()
        self._open = True
        self._credits: int | None = None
        self.sources = [
            Source(location, name=name, stream=number, options=options, on_event=on_event, ready=self._wake)
            for number, (location, name) in enumerate(zip(locations, names, strict=True))
        ]

    def __iter__(self) -> Iterator[Frame]:
        for source in self.sources:
            source.start()
        turn = 0
        while True:
            with self._change:
                self._change.wait_for(self._anything)
                if not self._open:
                    return
            found = None
            for step in range(len(self.sources)):
                source = self.sources[(turn + step) % len(self.sources)]
                found = source.take()
                if found is not None:
                    turn = (turn + step + 1) % len(self.sources)
                    break
            if found is not None:
                with self._change:
                    if self._credits is not None:
                        self._credits -= 1
                yield found
            elif all(source.over for source in self.sources):
                return

    def limit(self, credits: int) -> None:
        """Let at most `credits` frames be in flight; to be called before the first is asked for."""
        self._credits = credits

    def done(self) -> None:
        """A frame has arrived: another may set out."""
        with self._change:
            if self._credits is not None:
                self._credits += 1
            self._change.notify_all()

    def close(self) -> None:
        """End all sources."""
        for source in self.sources:
            source.stop()
        with self._change:
            self._open = False
            self._change.notify_all()
        for source in self.sources:
            source.join(2.0)

    def _anything(self) -> bool:
        if not self._open:
            return True
        if self._credits is not None and self._credits <= 0:
            return False
        return any(source.has_frame for source in self.sources) or all(s.over for s in self.sources)

    def _wake(self) -> None:
        with self._change:
            self._change.notify_all()


def _reason(error: Exception) -> str:
    """PyAV's error in a few words, without the address, which may hold a password."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redacted(str(text)).splitlines()[0]
