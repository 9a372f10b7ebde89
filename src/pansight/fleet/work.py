"""One shard: read, segmented and written by one worker, which knows nothing of the cluster."""

import collections
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.errors import InputError, PansightError
from pansight.fleet.attempts import GIVEN_UP_AFTER, Attempts
from pansight.fleet.containers import Member, read_file, read_tar, read_zip, stream
from pansight.fleet.index import FOLDER, PartName, Row, read_part, row_of, write_part
from pansight.fleet.listing import kind_of
from pansight.fleet.masks import MaskFiles, MaskTar, MaskWriter, mask_name
from pansight.fleet.plan import PlanReader, Shard
from pansight.fleet.storage import Store
from pansight.formats.images import AsShown, read_stream
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ids_to_rgb
from pansight.runtime.inputs import printable
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.stream import Segmented

_TOLD = 20
"""Failures of a shard that are named; the index holds all."""

_DEADLY = (
    "{}: every worker that read it was killed, "
    f"{GIVEN_UP_AFTER} of them while it alone was read; look at the image, and at the memory of the workers"
)

_FOLLOWERS = 2
"""Threads that encode and write maps."""


@dataclass(frozen=True)
class WorkOptions:
    """How shards are worked on.

    Attributes:
        tars: whether the maps of a shard go into one tar, not into separate files.
        piece: images after which the results of a container that is read from end to end are kept.
        retry: whether inputs that failed before are retried.
    """

    tars: bool = False
    piece: int = 256
    retry: bool = False


@dataclass(frozen=True)
class ShardDone:
    """The outcome of a shard. `images` were worked on now, `failed` of them have no map; `problems` names
    some of those, one line each."""

    shard: int
    images: int
    failed: int
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


class _Entry(NamedTuple):
    """An image to do: its place in the shard, its name in the index, and what gives its bytes."""

    position: int
    key: str
    load: Callable[[], bytes]


@dataclass
class ShardWorker:
    """Works on shards of the plan in `store`, one at a time.

    A worker killed earlier on the same shard does no harm: the names of maps follow from the
    plan, and the shard's part of the index is written last.
    """

    store: Store
    segmenter: Segmenter
    options: WorkOptions = field(default_factory=WorkOptions)

    def __post_init__(self) -> None:
        self._plan = PlanReader(self.store)

    def __call__(self, number: int) -> ShardDone:
        """Do a shard, or what is missing of it.

        Raises InputError when results cannot be written, CheckpointError for damaged weights, DeviceError
        when memory runs out: errors that every shard would meet.
        """
        started = time.monotonic()
        shard = self._plan.shard(number)
        attempts = Attempts(self.store, number)
        careful = attempts if attempts.begin() else None
        try:
            rows = self._stream(shard, careful) if shard.streams else self._members(shard, careful)
        except PansightError:
            attempts.withdraw()
            raise
        attempts.end()
        failed = [row for row in rows if row.failed]
        told = tuple(row.error for row in failed[:_TOLD])
        return ShardDone(number, len(rows), len(failed), told, time.monotonic() - started)

    def _members(self, shard: Shard, careful: Attempts | None) -> list[Row]:
        """The rows that are new."""
        name = PartName(shard.number)
        kept = self._kept(name)
        if kept is None:
            return []
        done = {row.position for row in kept}
        entries = (
            _Entry(position, shard.key(member.name), _loader(shard, member))
            for position, member in enumerate(shard.members)
            if position not in done
        )
        rows = self._segmented(entries, shard.number, None, careful)
        write_part(self.store, name, sorted([*kept, *rows], key=lambda row: row.position))
        return rows

    def _stream(self, shard: Shard, careful: Attempts | None) -> list[Row]:
        """A container from end to end, its rows kept piece by piece; the last piece says that it is done."""
        last = PartName(shard.number)
        if self.store.exists(f"{FOLDER}/{last}"):
            if self._kept(last) is None and not self._has_failed_pieces(shard.number):
                return []
            # what was cut short may have more images now, which do not fit into the last piece
            self.store.remove(f"{FOLDER}/{last}")
        fresh: list[Row] = []
        problems: list[InputError] = []
        entries = _Ahead(_entries_of(shard, problems))
        for piece in itertools.count():
            name = PartName(shard.number, piece)
            own = itertools.islice(entries, self.options.piece)
            existed = self.store.exists(f"{FOLDER}/{name}")
            kept = self._kept(name)
            if kept is None:
                collections.deque(own, maxlen=0)  # read over
                rows: list[Row] = []
            else:
                done = {row.position for row in kept}
                new = self._segmented(
                    (entry for entry in own if entry.position not in done), shard.number, piece, careful
                )
                fresh += new
                rows = sorted([*kept, *new], key=lambda row: row.position)
            if entries.ended and not existed:
                break  # these rows are the last piece
            if rows:
                write_part(self.store, name, rows)
            if entries.ended:
                rows = []
                break
        if problems:
            rows.append(_container_failure(shard, problems[0]))
            fresh.append(rows[-1])
        write_part(self.store, last, rows)
        return fresh

    def _segmented(
        self, entries: Iterable[_Entry], shard: int, piece: int | None, careful: Attempts | None
    ) -> list[Row]:
        """Rows of all entries, maps written."""
        masks: MaskWriter = (
            MaskTar(self.store, shard, piece) if self.options.tars else MaskFiles(self.store, shard)
        )
        rows: list[Row] = []
        if careful is None:
            rows += self._run(entries, shard, masks)
        else:
            for entry in entries:
                with careful.careful(entry.position) as hopeless:
                    if hopeless:
                        rows.append(
                            Row(entry.key, shard, entry.position, _DEADLY.format(printable(entry.key)))
                        )
                    else:
                        rows += self._run([entry], shard, masks)
        masks.finish()
        return rows

    def _run(self, entries: Iterable[_Entry], shard: int, masks: MaskWriter) -> list[Row]:
        """The library's loop over frames, for these."""
        rows: list[Row] = []
        lock = threading.Lock()

        def read(entry: _Entry) -> UInt8[np.ndarray, "h w 3"]:
            return read_stream(
                io.BytesIO(entry.load()), printable(entry.key), AsShown(self.segmenter.max_pixels)
            )

        def follow(result: Segmented[_Entry]) -> None:
            if result.panoptic is None:
                return
            entry = result.frame
            mask = masks.add(mask_name(entry.position, entry.key), _png(result.panoptic))
            row = row_of(entry.key, shard, entry.position, mask, result.panoptic)
            with lock:
                rows.append(row)

        results = self.segmenter.stream(
            entries,
            read=read,
            follow=follow,
            followers=_FOLLOWERS,
            name=lambda _, entry: printable(entry.key),
        )
        with closing(results):
            for result in results:
                if result.problem is not None:
                    with lock:
                        rows.append(Row(result.frame.key, shard, result.frame.position, result.problem))
        return sorted(rows, key=lambda row: row.position)

    def _kept(self, name: PartName) -> list[Row] | None:
        """Rows of a part that stay; None where all of them do."""
        if not self.store.exists(f"{FOLDER}/{name}"):
            return []
        if not self.options.retry:
            return None
        rows = read_part(self.store, name)
        if not any(row.failed for row in rows):
            return None
        # a tar is written as a whole
        return [] if self.options.tars else [row for row in rows if not row.failed]

    def _has_failed_pieces(self, shard: int) -> bool:
        """Whether a piece before the last has to be done again."""
        for piece in itertools.count() if self.options.retry else ():
            name = PartName(shard, piece)
            if not self.store.exists(f"{FOLDER}/{name}"):
                return False
            if self._kept(name) is not None:
                return True
        return False


class _Ahead:
    """An iterator that knows whether it has ended before the next item is requested."""

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._entries = iter(entries)
        self._next: list[_Entry] = []

    def __iter__(self) -> "_Ahead":
        return self

    def __next__(self) -> _Entry:
        return self._next.pop() if self._next else next(self._entries)

    @property
    def ended(self) -> bool:
        """Whether there is no more."""
        if not self._next:
            self._next = list(itertools.islice(self._entries, 1))
        return not self._next


def _entries_of(shard: Shard, problems: list[InputError]) -> Iterator[_Entry]:
    """All images of a container; why it cannot be read on, if so, in `problems`."""
    try:
        for position, (name, content) in enumerate(stream(shard.source)):
            yield _Entry(position, shard.key(name), partial(_given, content))
    except InputError as error:
        problems.append(error)


def _given(content: bytes | InputError) -> bytes:
    if isinstance(content, InputError):
        raise content
    return content


def _loader(shard: Shard, member: Member) -> Callable[[], bytes]:
    if not shard.source:
        return partial(read_file, member.name)
    if kind_of(shard.source) == "zip":
        return partial(read_zip, shard.source, member.name)
    return partial(read_tar, shard.source, member)


def _container_failure(shard: Shard, error: InputError) -> Row:
    """After all images, wherever that is."""
    return Row(shard.source, shard.number, -1, str(error), container=True)


def _png(panoptic: PanopticMap) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(ids_to_rgb(panoptic.ids)).save(buffer, "png")
    return buffer.getvalue()
