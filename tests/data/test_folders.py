"""Folders on disk and in archives hold the same files, in threads and in other processes too."""

import multiprocessing
import pickle
import struct
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.data.folders import (
    DiskFolder,
    Folder,
    Source,
    ZipFolder,
    ZippedFile,
    existing_folder,
    open_folder,
)
from pansight.errors import DataError

CONTENTS = {f"train2017/{number:03}.jpg": bytes([number]) * (number + 1) * 100 for number in range(40)}


def pack(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return pack(tmp_path / "train2017.zip", CONTENTS)


def content_of(folder: Folder, name: str) -> bytes:
    source = folder.find(name)
    assert source is not None
    return source.read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_a_folder(tmp_path: Path, method: int) -> None:
    path = pack(tmp_path / "a.zip", {**CONTENTS, "__MACOSX/train2017/._001.jpg": b"x"}, method)
    for name, content in CONTENTS.items():
        target = tmp_path / "disk" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    disk, zipped = open_folder(tmp_path / "disk"), open_folder(path)
    assert isinstance(disk, DiskFolder) and isinstance(zipped, ZipFolder)
    assert disk.listing("7.jpg") == zipped.listing("7.jpg") == [f"train2017/0{n}7.jpg" for n in range(4)]
    for name, content in CONTENTS.items():
        assert content_of(disk, name) == content_of(zipped, name) == content
        # as it is found in the folder that was packed
        assert content_of(zipped, name.removeprefix("train2017/")) == content
    for folder in (disk, zipped):
        assert isinstance(folder, Folder)
        assert folder.find("train2017/040.jpg") is None
        assert folder.find("else/001.jpg") is None
        assert folder.find("train2017") is None
    assert isinstance(zipped.find("001.jpg"), Source) and isinstance(disk.find("train2017/001.jpg"), Source)


def test_a_folder_in_an_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "all.zip", {"a/x.png": b"1", "b/x.png": b"2", "b/c/x.png": b"3", "b/y.png": b"4"})
    whole, part = open_folder(path), open_folder(path / "b")
    assert content_of(whole, "a/x.png") == b"1"
    assert content_of(whole, "y.png") == b"4"
    # the path from the top wins over what merely ends so
    assert content_of(part, "x.png") == b"2"
    assert content_of(part, "c/x.png") == b"3"
    assert part.listing(".png") == ["c/x.png", "x.png", "y.png"]
    assert str(part) == str(path / "b")
    with pytest.raises(DataError, match=r"all\.zip: has .*name the folder in the archive, such as"):
        whole.find("x.png")
    for place in (path / "none", tmp_path / "none", tmp_path / "none.zip" / "a"):
        with pytest.raises(DataError, match="none"):
            open_folder(place)


def test_an_archive_is_read_from_many_threads_and_processes(archive: Path) -> None:
    folder = open_folder(archive)
    names = sorted(CONTENTS) * 5
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda name: content_of(folder, name), names)) == [CONTENTS[n] for n in names]
    assert content_of(pickle.loads(pickle.dumps(folder)), names[0]) == CONTENTS[names[0]]
    if "fork" in multiprocessing.get_all_start_methods():
        # Children that inherit the folder, at work at once: no file position may be shared.
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        children = [context.Process(target=_read_all, args=(folder, names, results)) for _ in range(3)]
        for child in children:
            child.start()
        assert [results.get(timeout=60) for _ in children] == [True] * 3
        for child in children:
            child.join()


def _read_all(folder: Folder, names: list[str], results: "multiprocessing.Queue[bool]") -> None:
    results.put(all(content_of(folder, name) == CONTENTS[name] for name in names))


def test_damaged_archives_are_refused(archive: Path) -> None:
    folder = open_folder(archive)
    source = folder.find("005.jpg")
    assert isinstance(source, ZippedFile)
    whole = archive.read_bytes()
    start = source.offset + 30 + sum(struct.unpack_from("<HH", whole, source.offset + 26))
    archive.write_bytes(whole[: start + 2] + bytes([whole[start + 2] ^ 255]) + whole[start + 3 :])
    with pytest.raises(DataError, match=r"train2017\.zip/train2017/005\.jpg: is damaged"):
        source.read_bytes()
    archive.write_bytes(whole[100:])
    with pytest.raises(DataError, match=r"is not where the archive says|is damaged"):
        source.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train2017\.zip: cannot be read as a zip archive"):
        open_folder(archive)
    archive.unlink()
    with pytest.raises(DataError, match="No such file"):
        source.read_bytes()


def test_uncommon_archives_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x.png": b"1" * 100}, zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match=r"a\.zip/x\.png: is encrypted or packed in an uncommon way"):
        open_folder(path)


def test_what_unpacks_to_more_than_it_says_is_refused(archive: Path) -> None:
    source = open_folder(archive).find("039.jpg")
    assert isinstance(source, ZippedFile)
    less = ZippedFile(
        source.archive, source.name, source.offset, source.packed, 100, source.method, source.crc
    )
    with pytest.raises(DataError, match="wrong size"):
        less.read_bytes()


def test_folders_are_preferred_to_archives(tmp_path: Path, archive: Path) -> None:
    assert existing_folder(tmp_path / "val2017", tmp_path / "train2017") == archive
    (tmp_path / "train2017").mkdir()
    assert existing_folder(tmp_path / "train2017") == tmp_path / "train2017"
    assert existing_folder(tmp_path / "val2017") is None


@given(st.sets(st.text("ab", max_size=2).map(lambda text: "/".join([*text, "x.png"])), max_size=6))
def test_every_file_is_found_by_its_whole_path(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = ZipFolder(pack(Path(place) / "a.zip", {name: name.encode() for name in names}))
        assert folder.listing("") == sorted(names)
        for name in names:
            assert content_of(folder, name) == name.encode()


def test_the_root_and_this_folder_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert existing_folder(Path("/")) == Path("/")
    assert existing_folder(Path()) == Path()


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", ".", ".."])
def test_names_that_no_file_can_have_are_not_found(tmp_path: Path, name: str) -> None:
    assert DiskFolder(tmp_path).find(name) is None
