"""Files appear whole or not at all, on disks and in stores."""

import pickle
import uuid
from pathlib import Path

import pytest

from pansight.errors import InputError
from pansight.fleet.storage import Store


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "out" if request.param == "disk" else f"memory://{uuid.uuid4().hex}")


def test_what_was_put_is_read_and_listed(store: Store) -> None:
    assert store.names("a") == []
    store.put("a/x", b"old")
    store.put("a/x", b"new")
    store.put("a/w", b"")
    assert store.read("a/x") == b"new"
    assert store.names("a") == ["w", "x"]
    assert store.exists("a/x")
    store.remove("a/x")
    store.remove("a/x")
    assert not store.exists("a/x")
    with pytest.raises(FileNotFoundError):
        store.read("a/x")


def test_one_of_several_creates(store: Store) -> None:
    assert store.create("a/plan", b"first")
    assert not store.create("a/plan", b"second")
    assert store.read("a/plan") == b"first"


def test_a_store_travels(store: Store) -> None:
    store.put("x", b"1")
    assert Store(store.address).read("x") == b"1"
    assert pickle.loads(pickle.dumps(store)).read("x") == b"1"


def test_nothing_half_written_is_left(store: Store) -> None:
    store.put("a/x", b"1")
    store.create("a/x", b"2")
    assert store.names(".fleet/tmp") == []
    store.put(".fleet/tmp/left", b"by one that was killed")
    store.tidy()
    assert store.names(".fleet/tmp") == []
    store.tidy()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot write .*file/out/x: .*choose another --output"):
        Store(tmp_path / "file" / "out").put("x", b"1")
