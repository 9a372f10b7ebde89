"""Images in zips and tars."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pansight.errors import InputError
from pansight.fleet.containers import images_of, read_tar, read_zip, stream, tar_members, zip_members

Maker = Callable[..., Path]

MEMBERS = {"a/1.jpg": b"one", "a/1.seg.png": b"labels", "a/1.json": b"{}", "a/.x.png": b"", "2.5.png": b"two"}
"""one WebDataset sample with labels, one name with a dot of its own"""


def test_of_a_webdataset_sample_the_image_is_meant_not_its_labels() -> None:
    assert [name for name, _ in images_of((name, 0) for name in MEMBERS)] == ["a/1.jpg", "2.5.png"]


def test_a_tar_on_disk_is_read_at_places(tmp_path: Path, make_tar: Maker) -> None:
    path = str(make_tar(tmp_path / "x.tar", MEMBERS))
    members = tar_members(path)
    assert members is not None
    assert {one.name: read_tar(path, one) for one in members} == {"a/1.jpg": b"one", "2.5.png": b"two"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_as_it_streams_by(mode: str, tmp_path: Path, make_tar: Maker) -> None:
    path = str(make_tar(tmp_path / "x.tar", MEMBERS, mode))
    assert (tar_members(path) is None) == (mode == "w:gz")
    assert list(stream(path)) == [("a/1.jpg", b"one"), ("2.5.png", b"two")]


def test_members_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for content in (b"old", b"new"):
            entry = tarfile.TarInfo("a.jpg")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(content))
    assert list(stream(str(path))) == [("a.jpg", b"old"), ("a.jpg#2", b"new")]


def test_a_tar_that_is_cut_short_gives_what_is_before(tmp_path: Path, make_tar: Maker) -> None:
    path = make_tar(tmp_path / "x.tar.gz", {f"{n}.jpg": bytes(range(256)) * 400 for n in range(4)}, "w:gz")
    path.write_bytes(path.read_bytes()[:-400])
    found = []
    with pytest.raises(InputError, match=r"x\.tar\.gz: damaged or cut short"):
        for name, _ in stream(str(path)):
            found.append(name)
    assert found


def test_a_zip(tmp_path: Path, make_zip: Maker) -> None:
    path = str(make_zip(tmp_path / "x.zip", MEMBERS))
    assert [one.name for one in zip_members(path)] == ["a/1.jpg", "2.5.png"]
    assert read_zip(path, "a/1.jpg") == b"one"
    with pytest.raises(InputError, match="no longer in the archive"):
        read_zip(path, "3.jpg")


def test_a_damaged_member_of_a_zip_spoils_no_other(tmp_path: Path, make_zip: Maker) -> None:
    path = make_zip(tmp_path / "x.zip", {"1.jpg": b"one" * 50, "2.jpg": b"two"})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"oneone", b"onEone", 1))
    first, second = stream(str(path))
    assert isinstance(first[1], InputError)
    assert "1.jpg: cannot be read" in str(first[1])
    assert second == ("2.jpg", b"two")


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_what_is_no_container_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InputError, match=name):
        list(stream(str(tmp_path / name)))
    with pytest.raises(InputError, match="no such file"):
        list(stream(str(tmp_path / f"no{name}")))
