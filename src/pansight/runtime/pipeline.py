"""Many picture files through a Segmenter: decoding ahead of the network, writing behind it."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from pansight.errors import InputError
from pansight.panoptic import PanopticMap
from pansight.runtime.images import read_image
from pansight.runtime.inputs import printable
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.writing import Job, MapWriter

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: written, or `problem`, one line that names the file."""

    job: Job
    problem: str | None = None


@dataclass(frozen=True)
class _Item:
    job: Job
    image: UInt8[np.ndarray, "h w 3"] | None = None
    panoptic: PanopticMap | None = None
    problem: str | None = None


def segment_files(
    segmenter: Segmenter, jobs: Sequence[Job], writer: MapWriter
) -> Generator[Outcome, None, None]:
    """Read, segment and write every job; outcomes come in order, as soon as they are known.

    A picture that cannot be read or segmented is an outcome like any other, and spoils no other of its batch.
    What cannot be written ends it all with an InputError: the next would not fit on the disk either.
    Whoever stops iterating waits for no more than the files being written.
    """

    def read(job: Job) -> _Item:
        try:
            return _Item(job, read_image(job.path, max_pixels=segmenter.max_pixels))
        except InputError as error:
            return _Item(job, problem=str(error))

    def write(item: _Item) -> Outcome:
        if item.image is not None and item.panoptic is not None:
            writer.write(item.job, item.image, item.panoptic)
        return Outcome(item.job, item.problem)

    workers = min(4, os.cpu_count() or 1)
    readers, writers = ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
    try:
        images = read_ahead(readers, read, jobs, segmenter.batch_size + 1)
        pending: deque[Future[Outcome]] = deque()
        for item in _segmented(segmenter, images):
            pending.append(writers.submit(write, item))
            while pending and (pending[0].done() or len(pending) > 2 * workers):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
        writers.shutdown()


def read_ahead(
    executor: Executor, function: Callable[[_In], _Out], items: Iterable[_In], ahead: int
) -> Iterator[_Out]:
    """`map` on an executor, in order, that works at most `ahead` items ahead of whoever takes the results."""
    pending: deque[Future[_Out]] = deque()
    for item in items:
        pending.append(executor.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _segmented(segmenter: Segmenter, items: Iterable[_Item]) -> Iterator[_Item]:
    waiting: list[_Item] = []
    for item in items:
        waiting.append(item)
        if sum(one.image is not None for one in waiting) == segmenter.batch_size:
            yield from _batch(segmenter, waiting)
            waiting = []
    yield from _batch(segmenter, waiting)


def _batch(segmenter: Segmenter, items: list[_Item]) -> Iterator[_Item]:
    images = [item.image for item in items if item.image is not None]
    try:
        maps: Iterator[PanopticMap] | None = iter(segmenter.batch(images))
    except InputError:
        maps = None  # who of them was it?
    for item in items:
        if item.image is None:
            yield item
        elif maps is not None:
            yield _Item(item.job, item.image, next(maps))
        else:
            try:
                yield _Item(item.job, item.image, segmenter.batch([item.image])[0])
            except InputError as error:
                yield _Item(item.job, problem=f"{printable(item.job.path)}: {error}")
