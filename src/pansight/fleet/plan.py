"""The plan: which inputs form which shard. It is written before work begins, and only ever added to.

A shard is what one worker does in one go, which is the most that is lost when it dies. As an input is in one
shard, and a shard has one file of results, an input has one result, whichever worker writes it and however
often.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from pansight.errors import InputError
from pansight.files import require_extra
from pansight.fleet.containers import Member, tar_members, zip_members
from pansight.fleet.listing import Item
from pansight.fleet.storage import Store

LARGEST_SHARD = 256
"""Images in a shard, at most, unless asked for more."""

_SHARDS_PER_WORKER = 16
"""Shards per worker in a small archive, at most; with several, all workers end together."""

_SMALLEST_SHARD = 8
"""Images in a shard, about at least: where there are fewer for each worker, some workers have none."""

_SHARDS_PER_FILE = 4096


@dataclass(frozen=True)
class Shard:
    """Some inputs. `source`: the container that they are in; "" for files.

    `members`: addresses of files, or images of the container; empty for one that is read from end to end, as
    its images are not known before.
    """

    number: int
    source: str
    members: tuple[Member, ...]

    @property
    def streams(self) -> bool:
        """Whether the images are all those of a container, in one pass."""
        return bool(self.source) and not self.members

    def key(self, name: str) -> str:
        """The name of an input in the index."""
        return f"{self.source}::{name}" if self.source else name


class _Content(NamedTuple):
    source: str
    members: tuple[Member, ...]


class Plan:
    """The plan of a folder of results, in files of Arrow record batches, one per shard."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _files(self) -> list[tuple[str, int]]:
        """The plan's files, and the number of the first shard of each."""
        names = [name for name in self._store.names(".fleet") if name.startswith("plan-")]
        return [(f".fleet/{name}", int(name.split("-")[1].split(".")[0])) for name in names]

    def shards(self) -> Iterator[Shard]:
        """All shards, in order."""
        for name, first in self._files:
            reader = _opened(self._store, name)
            for position in range(reader.num_record_batches):
                yield _shard(first + position, reader.get_batch(position))

    def count(self) -> int:
        """Shards in all."""
        if not self._files:
            return 0
        name, first = self._files[-1]
        return first + int(_opened(self._store, name).num_record_batches)

    def extend(self, items: Iterable[Item | str], workers: int, size: int | None = None) -> list[str]:
        """Add shards for all items that no shard has yet; returns a line for each that cannot be planned.

        `size`: images in a shard; by default few enough that each of `workers` finds several.
        Memory grows by the known names, some hundred bytes each; a tar that is streamed counts once.
        """
        problems: list[str] = []
        while True:
            known, following = self._known()
            whole = True
            for contents in _in_files(_contents(items, known, problems, workers, size)):
                whole = self._store.create(f".fleet/plan-{following:09d}.arrow", _encoded(contents))
                if not whole:  # somebody else plans at the same time: look at what is there, and go on
                    break
                following += len(contents)
            self.__dict__.pop("_files", None)
            if whole:
                return problems
            problems.clear()

    def _known(self) -> tuple[set[str], int]:
        """Everything that is planned, and the number of the next shard."""
        known: set[str] = set()
        following = 0
        for shard in self.shards():
            known.update([shard.source] if shard.source else (member.name for member in shard.members))
            following = shard.number + 1
        return known, following


class PlanReader:
    """One shard after the other of a plan, by number; the file that was read last is kept."""

    def __init__(self, store: Store) -> None:
        self._plan = Plan(store)
        self._store = store
        self._lock = threading.Lock()
        self._open: tuple[str, int, Any] | None = None

    def shard(self, number: int) -> Shard:
        """The shard. Raises InputError when the plan has no such shard."""
        with self._lock:
            if self._open is None or not 0 <= number - self._open[1] < self._open[2].num_record_batches:
                found = [row for row in self._plan._files if row[1] <= number]
                if not found:
                    raise InputError(f"shard {number} is not in the plan of {self._store.address}")
                name, first = found[-1]
                self._open = (name, first, _opened(self._store, name))
            return _shard(number, self._open[2].get_batch(number - self._open[1]))


def _in_files(contents: Iterable[_Content]) -> Iterator[list[_Content]]:
    """What goes into each file of the plan. A container is in one file: it is planned whole or not at all."""
    gathered: list[_Content] = []
    for content in contents:
        if len(gathered) >= _SHARDS_PER_FILE and (
            not content.source or content.source != gathered[-1].source
        ):
            yield gathered
            gathered = []
        gathered.append(content)
    if gathered:
        yield gathered


def _contents(
    items: Iterable[Item | str], known: set[str], problems: list[str], workers: int, size: int | None
) -> Iterator[_Content]:
    """Contents of the shards that are not cached yet; they are cached from then on."""
    ahead = workers * _SHARDS_PER_WORKER * LARGEST_SHARD
    files: list[Member] = []
    chunk = size
    for item in items:
        if isinstance(item, str):
            problems.append(item)
        elif item.address in known:
            continue
        elif item.kind == "image":
            known.add(item.address)
            files.append(Member(item.address))
            if len(files) >= ahead:
                chunk = size or LARGEST_SHARD
                for start in range(0, len(files) - len(files) % chunk, chunk):
                    yield _Content("", tuple(files[start : start + chunk]))
                files = files[len(files) - len(files) % chunk :]
                ahead = chunk
        else:
            known.add(item.address)
            try:
                members = zip_members(item.address) if item.kind == "zip" else tar_members(item.address)
            except InputError:
                members = None  # who works on it records why it cannot be read
            if members is None:
                yield _Content(item.address, ())
            elif not members:
                problems.append(f"{item.address}: no images in it")
            else:
                for part in _parts(members, workers, size):
                    yield _Content(item.address, part)
    for part in _parts(files, workers, chunk):
        yield _Content("", part)


def _parts(members: Sequence[Member], workers: int, size: int | None) -> Iterator[tuple[Member, ...]]:
    """The members of each shard: `size`, or as many in all to within one.

    There are equally many shards per worker where the members suffice: one shard more, and one worker does it
    while all others have nothing left.
    """
    count = len(members)
    if size is None:
        each = min(count // (workers * _SMALLEST_SHARD), _SHARDS_PER_WORKER)
        each = max(each, -(-count // (workers * LARGEST_SHARD)))
        # too few for all workers: small shards would cost more than they spread
        shards = min(workers * each, -(-count // _SMALLEST_SHARD))
        ends = [count * place // shards for place in range(shards + 1)] if shards else []
    else:
        ends = [*range(0, count, size), count]
    for start, end in pairwise(ends):
        yield tuple(members[start:end])


def _schema() -> Any:
    pa = require_extra("pyarrow", "fleet")
    return pa.schema(
        [
            ("source", pa.string()),
            ("name", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
        ]
    )


def _encoded(contents: Sequence[_Content]) -> bytes:
    import pyarrow as pa

    schema, sink = _schema(), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for source, members in contents:
            rows = members or (Member(""),)  # a row that names the tar alone
            columns = [[source] * len(rows), *zip(*rows, strict=True)]
            arrays = [pa.array(list(one), field.type) for one, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def _opened(store: Store, name: str) -> Any:
    pa = require_extra("pyarrow", "fleet")
    try:
        return pa.ipc.open_file(pa.BufferReader(store.read(name)))
    except pa.ArrowException as error:
        raise InputError(f"{store.address}/{name}: damaged ({error}); choose another --output") from error


def _shard(number: int, batch: Any) -> Shard:
    source, names, offsets, sizes = (column.to_pylist() for column in batch.columns)
    if names == [""]:
        return Shard(number, source[0], ())
    return Shard(number, source[0], tuple(map(Member, names, offsets, sizes)))
