"""A worker: each input has one result or one failure, whenever the worker dies."""

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.errors import InputError
from pansight.fleet import containers, work
from pansight.fleet.attempts import CAREFUL_AFTER, GIVEN_UP_AFTER, Attempts
from pansight.fleet.index import Row, parts, read_index
from pansight.fleet.listing import Listing
from pansight.fleet.plan import Plan
from pansight.fleet.storage import Store
from pansight.fleet.work import ShardWorker, WorkOptions
from pansight.panoptic.ids import rgb_to_ids
from pansight.runtime.segmenter import Segmenter


class Killed(BaseException):
    """What stands for SIGKILL in these tests: nobody catches it."""


def planned(store: Store, *inputs: object, size: int | None = None) -> int:
    """Shards of the plan for these inputs."""
    assert Plan(store).extend(Listing(tuple(map(str, inputs))), 1, size) == []
    return Plan(store).count()


def rows(store: Store) -> dict[str, Row]:
    found = list(read_index(store))
    assert len({row.input for row in found}) == len(found), "an input has two results"
    return {row.input: row for row in found}


def ids_of(store: Store, row: Row) -> np.ndarray:
    path, _, member = row.mask.partition("::")
    content = store.read(path)
    if member:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            file = archive.extractfile(member)
            assert file is not None
            content = file.read()
    return rgb_to_ids(np.asarray(Image.open(io.BytesIO(content))))


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "out" if request.param == "disk" else f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


@pytest.mark.parametrize("tars", [False, True])
def test_results_are_those_of_one_process(
    store: Store, segmenter: Segmenter, photos: Path, tars: bool
) -> None:
    worker = ShardWorker(store, segmenter, WorkOptions(tars=tars))
    done = [worker(number) for number in range(planned(store, photos))]
    assert sum(shard.images for shard in done) == 41
    (problem,) = [problem for shard in done for problem in shard.problems]
    assert problem.startswith(f"{photos}/damaged.jpg: cannot be read")
    found = rows(store)
    assert found.pop(f"{photos}/damaged.jpg").failed
    assert len(found) == 40
    for input, row in list(found.items())[:: 1 if tars else 8]:
        panoptic = segmenter(input)
        assert (ids_of(store, row) == panoptic.ids).all()
        _, annotation = panoptic.to_coco(1, "")
        # a batch of another size rounds scores otherwise
        for one, other in zip(row.segments, annotation["segments_info"], strict=True):
            assert {**one, "score": 0} == {**other, "score": 0}
            assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        assert (row.width, row.height) == (panoptic.width, panoptic.height)
        assert row.void == pytest.approx((panoptic.ids == 0).mean())


def test_containers_of_every_kind_give_the_same_maps(
    disk: Store, segmenter: Segmenter, photos: Path, contained: Path
) -> None:
    worker = ShardWorker(disk, segmenter, WorkOptions(piece=4))
    done = [worker(number) for number in range(planned(disk, contained, contained / "gone.zip", size=4))]
    assert sum(shard.failed for shard in done) == 1
    found = rows(disk)
    gone = found.pop(f"{contained}/gone.zip")
    assert gone.failed and gone.container
    assert "no such file" in gone.error
    assert len(found) == 18
    for input, row in found.items():
        assert (ids_of(disk, row) == segmenter(photos / input.rpartition("::")[2]).ids).all()
    # what streams by is kept piece by piece
    assert [str(part) for part in parts(disk) if part.piece is not None] == ["part-000000004-000000.parquet"]


def test_a_shard_that_is_done_is_not_done_again(
    disk: Store, segmenter: Segmenter, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(disk, photos / "deep")
    ShardWorker(disk, segmenter)(0)
    monkeypatch.setattr(work, "read_file", None)
    assert ShardWorker(disk, segmenter)(0).images == 0


def killing(after: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose `after`-th call kills the process."""
    calls = iter(range(after))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            raise Killed
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("tars", [False, True])
@pytest.mark.parametrize("container", [False, True])
def test_whenever_a_worker_dies_the_next_one_finishes(
    disk: Store, segmenter: Segmenter, contained: Path, photos: Path, tars: bool, container: bool
) -> None:
    """Killed at each write in turn: marks, maps, parts of the index."""
    count = planned(disk, contained / "c.tar.gz" if container else photos / "deep", size=4)
    put, deaths = Store.put, 0
    for shard in range(count):
        for after in range(100):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Store, "put", killing(after, put))
                try:
                    ShardWorker(disk, segmenter, WorkOptions(tars=tars, piece=4))(shard)
                    break
                except Killed:
                    deaths += 1
                    rows(disk)  # what is there is whole, and there once
    found = rows(disk)
    assert deaths >= 5
    assert len(found) == (6 if container else 10)
    for input, row in found.items():
        assert not row.failed
        path = photos / input.rpartition("::")[2] if container else input
        assert (ids_of(disk, row) == segmenter(path).ids).all()
    assert disk.names(".fleet/attempts") == []


def test_an_image_that_kills_its_workers_becomes_a_failure(
    disk: Store, segmenter: Segmenter, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(disk, photos / "deep", size=16)
    read = containers.read_file

    def deadly(address: str) -> bytes:
        if address.endswith("011.jpg"):
            raise Killed
        return read(address)

    monkeypatch.setattr(work, "read_file", deadly)
    deaths = 0
    while True:
        try:
            done = ShardWorker(disk, segmenter)(0)
            break
        except Killed:
            deaths += 1
            assert deaths < 20
    assert deaths == CAREFUL_AFTER + GIVEN_UP_AFTER
    assert (done.images, done.failed) == (10, 1)
    failure = rows(disk)[f"{photos}/deep/011.jpg"]
    assert "was killed" in failure.error
    assert disk.names(".fleet/attempts") == []


def test_marks_of_other_shards_do_not_count(disk: Store) -> None:
    for _ in range(CAREFUL_AFTER):
        assert not Attempts(disk, 1).begin()
    assert not Attempts(disk, 11).begin()
    assert Attempts(disk, 1).begin()
    Attempts(disk, 1).end()
    assert len(disk.names(".fleet/attempts")) == 1


@pytest.mark.parametrize("tars", [False, True])
def test_failures_are_tried_again_when_asked(
    disk: Store, segmenter: Segmenter, photos: Path, tmp_path: Path, tars: bool
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = (photos / "000.jpg").read_bytes()
    for name, content in (("a.jpg", good), ("b.jpg", b""), ("c.jpg", b"none")):
        (folder / name).write_bytes(content)
    planned(disk, folder)
    assert ShardWorker(disk, segmenter, WorkOptions(tars=tars))(0).failed == 2
    (folder / "b.jpg").write_bytes(good)
    assert ShardWorker(disk, segmenter, WorkOptions(tars=tars))(0).images == 0
    again = ShardWorker(disk, segmenter, WorkOptions(tars=tars, retry=True))(0)
    assert (again.images, again.failed) == (3 if tars else 2, 1)
    found = rows(disk)
    assert [found[f"{folder}/{name}"].failed for name in ("a.jpg", "b.jpg", "c.jpg")] == [False, False, True]


def test_a_container_that_was_cut_short_is_done_when_it_is_whole(
    disk: Store, segmenter: Segmenter, contained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "c.tar.gz"
    whole = (contained / "c.tar.gz").read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    planned(disk, path)
    options = WorkOptions(piece=2)
    assert ShardWorker(disk, segmenter, options)(0).failed == 1
    before = rows(disk)
    assert before[str(path)].container
    assert 0 < len(before) - 1 < 6
    path.write_bytes(whole)
    ShardWorker(disk, segmenter, WorkOptions(piece=2, retry=True))(0)
    after = rows(disk)
    assert len(after) == 6
    assert not any(row.failed for row in after.values())


def test_a_full_disk_stops_the_worker(
    disk: Store, segmenter: Segmenter, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(disk, photos / "deep")
    put = Store.put

    def full(self: Store, name: str, content: bytes) -> None:
        if name.startswith("predictions/"):
            raise InputError(f"cannot write {name}: No space left on device; free space")
        put(self, name, content)

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(InputError, match="No space left"):
        ShardWorker(disk, segmenter)(0)
    assert rows(disk) == {}
    assert disk.names(".fleet/attempts") == []


def test_a_tar_is_read_as_it_is_worked_on(disk: Store, segmenter: Segmenter, contained: Path) -> None:
    """Back-pressure: what is not yet segmented is not yet read, but for a bounded number."""
    planned(disk, contained / "c.tar.gz")
    taken: list[str] = []
    stream = containers.stream

    def watched(address: str) -> Iterator[Any]:
        for name, content in stream(address):
            taken.append(name)
            yield name, content

    written: list[int] = []
    put = Store.put

    def counting(self: Store, name: str, content: bytes) -> None:
        if name.startswith("predictions/"):
            written.append(len(taken))
        put(self, name, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "stream", watched)
        patch.setattr(Store, "put", counting)
        ShardWorker(disk, segmenter, WorkOptions(piece=1))(0)
    assert max(read - done for done, read in enumerate(written)) <= 2
