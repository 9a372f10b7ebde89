"""Every input is in one shard, once, whatever happens to whoever plans."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.fleet import plan as planning
from pansight.fleet.containers import Member
from pansight.fleet.listing import Item
from pansight.fleet.plan import Plan, PlanReader
from pansight.fleet.storage import Store


def new_store() -> Store:
    return Store(f"memory://{uuid.uuid4().hex}")


def images(*numbers: int) -> list[Item | str]:
    return [Item("image", f"/{number}.jpg") for number in numbers]


def planned(store: Store) -> list[str]:
    return [shard.key(member.name) for shard in Plan(store).shards() for member in shard.members]


@settings(max_examples=40)
@given(
    calls=st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=4),
    workers=st.integers(1, 3),
    size=st.sampled_from([None, 1, 7]),
    largest=st.integers(1, 9),
)
def test_each_input_is_planned_once_over_all_calls(
    calls: list[list[int]], workers: int, size: int | None, largest: int
) -> None:
    store = new_store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "LARGEST_SHARD", largest)
        patch.setattr(planning, "_SHARDS_PER_FILE", 3)
        for numbers in calls:
            assert Plan(store).extend(images(*numbers), workers, size) == []
    found = planned(store)
    assert sorted(found) == sorted({f"/{number}.jpg" for numbers in calls for number in numbers})
    shards = list(Plan(store).shards())
    assert [shard.number for shard in shards] == list(range(len(shards))) == list(range(Plan(store).count()))
    reader = PlanReader(store)
    assert [reader.shard(shard.number) for shard in reversed(shards)] == shards[::-1]


def test_the_order_is_kept_and_small_archives_are_shared_out() -> None:
    store = new_store()
    Plan(store).extend(images(*range(2000)), workers=2)
    assert planned(store) == [f"/{number}.jpg" for number in range(2000)]
    sizes = [len(shard.members) for shard in Plan(store).shards()]
    assert len(sizes) == 32 and {*sizes} == {62, 63}


@settings(max_examples=60)
@given(workers=st.integers(1, 5), count=st.integers(0, 700), largest=st.sampled_from([16, 20, 256]))
def test_all_workers_find_as_many_shards_of_one_size(workers: int, count: int, largest: int) -> None:
    """One shard more, and one worker does it while all others wait."""
    store = new_store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "LARGEST_SHARD", largest)
        parts = list(planning._parts([Member(f"/{n}.jpg") for n in range(count)], workers, None))
        Plan(store).extend(images(*range(count)), workers)
    assert [member.name for part in parts for member in part] == [f"/{n}.jpg" for n in range(count)]
    assert planned(store) == [f"/{n}.jpg" for n in range(count)]
    sizes = [len(part) for part in parts]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert max(sizes, default=0) <= largest
    if count < workers * 8:
        assert len(sizes) == -(-count // 8)  # no shard of a single image for each of many workers
    else:
        assert len(sizes) % workers == 0
    if count < workers * 16 * largest:
        assert len(sizes) <= workers * 16


def test_containers_are_planned_by_their_images(
    tmp_path: Path, make_tar: Callable[..., Path], make_zip: Callable[..., Path]
) -> None:
    names = {f"{n}.jpg": b"x" for n in range(20)}
    items: list[Item | str] = [
        Item("zip", str(make_zip(tmp_path / "a.zip", names))),
        Item("tar", str(make_tar(tmp_path / "b.tar", names))),
        Item("tar", str(make_tar(tmp_path / "c.tar.gz", names, "w:gz"))),
        Item("zip", str(tmp_path / "gone.zip")),
        Item("zip", str(make_zip(tmp_path / "empty.zip", {}))),
        "a line about something",
    ]
    store = new_store()
    assert Plan(store).extend(items, 1) == [
        f"{tmp_path}/empty.zip: no images in it",
        "a line about something",
    ]
    found = planned(store)
    assert found[:2] == [f"{tmp_path}/a.zip::0.jpg", f"{tmp_path}/a.zip::1.jpg"]
    assert len(found) == len(set(found)) == 40
    assert [shard.source for shard in Plan(store).shards() if shard.streams] == [
        f"{tmp_path}/c.tar.gz",
        f"{tmp_path}/gone.zip",
    ]
    count = Plan(store).count()
    Plan(store).extend(items, 1)
    assert Plan(store).count() == count


def test_two_that_plan_at_the_same_time_plan_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    create = Store.create

    def late(self: Store, name: str, content: bytes) -> bool:
        monkeypatch.setattr(Store, "create", create)
        Plan(store).extend(images(1, 2, 3), 1, 2)  # the other one, just before
        return create(self, name, content)

    monkeypatch.setattr(Store, "create", late)
    Plan(store).extend(images(2, 3, 4), 1, 2)
    assert sorted(planned(store)) == ["/1.jpg", "/2.jpg", "/3.jpg", "/4.jpg"]


def test_a_container_is_planned_whole_or_not_at_all(
    tmp_path: Path, make_zip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_SHARDS_PER_FILE", 2)
    path = make_zip(tmp_path / "a.zip", {f"{n}.jpg": b"x" for n in range(9)})
    store = new_store()
    Plan(store).extend([*images(1), Item("zip", str(path)), *images(2)], 1, 2)
    files = [name for name in store.names(".fleet") if name.startswith("plan-")]
    assert len(files) == 2  # all of the zip, then the files
    assert len(planned(store)) == 11
