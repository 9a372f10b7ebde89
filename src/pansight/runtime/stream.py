"""The one loop over frames: reading, network and what follows overlap; order is kept; queues are bounded.

    frames -> feeder -> readers -> network -> followers -> consumer
     (any iterable)   (threads)   (one thread) (threads)

Prediction of files, evaluation, validation during training, video and the server all use it.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from pansight.errors import DataError, InputError
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.channel import Channel
from pansight.runtime.engines.protocol import Rgb

FRAME_ERRORS = (InputError, DataError)
"""Errors of one frame; what else is raised concerns all of them, and ends the stream."""

_Frame = TypeVar("_Frame")


class FrameSeconds(NamedTuple):
    """Time that one frame cost."""

    read: float = 0.0
    """of a processor, reading"""
    segment: float = 0.0
    """by the clock, in the network and the merge: its share of the batch"""
    follow: float = 0.0
    """of a processor, in what follows"""


@dataclass(frozen=True, eq=False)
class Segmented(Generic[_Frame]):
    """The outcome of a frame: a panoptic map, or an error.

    Attributes:
        index: position among the frames, from 0.
        frame: what was given.
        content: what was read: RGB pixels, or a record with them; None where there is an error.
        panoptic: the map, of the image's size; None where there is an error.
        instances: what the model found besides the map, where requested.
        embeddings: one vector per segment of the map, in their order, where requested; zeros where a
            segment has none.
        error: why there is no map. Its message names the frame.
        seconds: what it cost.
    """

    index: int
    frame: _Frame
    content: Any = None
    panoptic: PanopticMap | None = None
    instances: Instances | None = None
    embeddings: Float32[np.ndarray, "_ _"] | None = None
    error: InputError | DataError | None = None
    seconds: FrameSeconds = field(default_factory=FrameSeconds)

    @property
    def image(self) -> Rgb | None:
        """The pixels: RGB, 0..255; None where there is an error."""
        return getattr(self.content, "image", self.content)

    @property
    def problem(self) -> str | None:
        """The error as one line that names the frame; None where all went well."""
        return None if self.error is None else str(self.error)


class Answer(NamedTuple):
    """What an image gets."""

    panoptic: PanopticMap
    instances: Instances | None = None
    embeddings: Float32[np.ndarray, "_ _"] | None = None


@dataclass(frozen=True)
class Loop(Generic[_Frame]):
    """How frames are read, segmented and followed up.

    Args:
        read: a frame to RGB pixels, or to a record that has them as `image`. InputError and DataError are
            the frame's own; anything else ends the stream.
        check: whether the pixels may enter the network; raises likewise.
        segment: RGB images to an answer each, in order. Where it raises such an error for several, each is
            tried alone.
        name: how messages name a frame.
        batch_size: most images that are segmented at once.
        follow: called with each result, in `followers` threads (1: in order), before it is yielded. What it
            raises ends the stream.
        readers: threads that read.
        patient: whether a batch waits until it is full; else it is what has been read when the network is
            free, so that a slow camera does not hold up the others.
    """

    read: Callable[[_Frame], Any]
    check: Callable[[Rgb], object]
    segment: Callable[[Sequence[Rgb]], Sequence[Answer | tuple[Any, ...]]]
    name: Callable[[int, _Frame], str]
    batch_size: int = 1
    follow: Callable[[Segmented[_Frame]], object] | None = None
    readers: int = 1
    followers: int = 1
    patient: bool = True

    def run(self, frames: Iterable[_Frame]) -> Generator[Segmented[_Frame], None, None]:
        """Results in the order of the frames, as soon as they are known.

        Nothing starts before the first is asked for. Closing the generator (or leaving it to the garbage
        collector) stops the threads: it waits for the batch in the network and for the follow-ups in
        progress, no longer. An iterable that blocks is abandoned; frames already read are dropped.
        """
        reads: Channel[Future[Segmented[_Frame]]] = Channel(self.batch_size + self.readers)
        done: Channel[Future[Segmented[_Frame]]] = Channel(self.batch_size + self.followers)
        readers = ThreadPoolExecutor(self.readers, "pansight-read")
        followers = ThreadPoolExecutor(self.followers, "pansight-follow")

        def feed() -> None:
            for index, frame in enumerate(frames):
                if not reads.put(readers.submit(self._read, index, frame)):
                    return

        def work() -> None:
            waiting: list[Segmented[_Frame]] = []
            try:
                for future in reads:
                    waiting.append(future.result())
                    full = sum(one.error is None for one in waiting) == self.batch_size
                    if full or not (self.patient or reads.waiting):
                        batch, waiting = waiting, []
                        if not self._pass_on(batch, followers, done):
                            return
            finally:  # frames before one whose reading ends it all are not lost by that
                self._pass_on(waiting, followers, done)

        feeder = _start("pansight-feed", feed, reads)
        worker = _start("pansight-network", work, done)
        try:
            for future in done:
                yield future.result()
        finally:
            done.close()
            reads.close()
            readers.shutdown(wait=False, cancel_futures=True)
            worker.join()
            followers.shutdown(cancel_futures=True)
            feeder.join(timeout=0.1)  # it may wait for a camera that gives no more frames

    def _read(self, index: int, frame: _Frame) -> Segmented[_Frame]:
        started = time.thread_time()
        try:
            content = self.read(frame)
            self.check(getattr(content, "image", content))
            result = Segmented(index, frame, content=content)
        except FRAME_ERRORS as error:
            result = Segmented(index, frame, error=self._named(index, frame, error))
        return replace(result, seconds=FrameSeconds(read=time.thread_time() - started))

    def _pass_on(
        self,
        waiting: list[Segmented[_Frame]],
        followers: ThreadPoolExecutor,
        done: "Channel[Future[Segmented[_Frame]]]",
    ) -> bool:
        """Segment what could be read of these; False where nobody wants any more."""
        return all(done.put(followers.submit(self._follow, result)) for result in self._segment(waiting))

    def _segment(self, waiting: list[Segmented[_Frame]]) -> list[Segmented[_Frame]]:
        images = [one.image for one in waiting if one.image is not None]
        if not images:
            return waiting
        started = time.perf_counter()
        try:
            answers = list(self.segment(images))
        except FRAME_ERRORS as error:
            if len(images) > 1:  # which of them was it?
                return [done for one in waiting for done in self._segment([one])]
            return [
                one
                if one.image is None
                else replace(one, content=None, error=self._named(one.index, one.frame, error))
                for one in waiting
            ]
        share = (time.perf_counter() - started) / len(images)
        found = iter(answers)
        results = []
        for one in waiting:
            if one.image is not None:
                answer = Answer(*next(found))
                seconds = one.seconds._replace(segment=share)
                one = replace(one, **answer._asdict(), seconds=seconds)
            results.append(one)
        return results

    def _named(self, index: int, frame: _Frame, error: InputError | DataError) -> InputError | DataError:
        name = self.name(index, frame)
        if name in str(error):
            return error
        named = type(error)(f"{name}: {error}")
        named.__cause__ = error
        return named

    def _follow(self, result: Segmented[_Frame]) -> Segmented[_Frame]:
        if self.follow is None:
            return result
        started = time.thread_time()
        self.follow(result)
        spent = time.thread_time() - started
        return replace(result, seconds=result.seconds._replace(follow=spent))


def _start(name: str, work: Callable[[], None], into: Channel[Any]) -> threading.Thread:
    """A thread whose end, and whose error, is that of the channel that it fills."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            into.finish(error)
        else:
            into.finish()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
