"""Files appear whole or not at all."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pansight.errors import InputError, MissingExtraError
from pansight.files import atomic_write, check_writable, require_extra


@pytest.fixture
def umask() -> object:
    """A umask that lets the group read and nobody else, and nothing more than that afterwards."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_file_appears_under_its_name_with_the_usual_permissions(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_write_leave_permissions_alone(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The umask belongs to the process: a thread that changes it, however briefly, changes it for all.
    def changed(mask: int) -> int:
        raise AssertionError("the umask was touched")

    monkeypatch.setattr(os, "umask", changed)

    def write(number: int) -> None:
        with atomic_write(tmp_path / f"{number}.txt") as temporary:
            temporary.write_text("x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert sorted(path.stat().st_mode & 0o777 for path in tmp_path.iterdir()) == [0o640] * 8


@pytest.mark.parametrize("name", ["字" * 83 + ".jpg", "a" * 251 + ".jpg"])
def test_names_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "folder"):
        with pytest.raises(InputError, match=f"cannot write {path}: "), atomic_write(path) as temporary:
            temporary.write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'pansight\[train\]'"):
        require_extra("pansight_has_no_such_module", "train")


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_writable(pipe)
    with atomic_write(pipe) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent != tmp_path
        temporary.write_text("whole")
    reader.join()
    assert read == ["whole"] and pipe.is_fifo()
    with atomic_write("/dev/null") as temporary:
        temporary.write_text("gone")
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path, "it is a folder; name a file in it"),
        (tmp_path / "file" / "a.json", "file is not a folder"),
        (tmp_path / ("x" * 300), "choose another name"),
    ):
        with pytest.raises(InputError, match=words):
            check_writable(path)
    with pytest.raises(InputError, match="choose another"), atomic_write(tmp_path / ("x" * 300)):
        pass
    check_writable(tmp_path / "new" / "deep" / "a.json")
    assert not (tmp_path / "new").exists()


def test_output_that_is_redirected_is_added_to(tmp_path: Path) -> None:
    program = (
        "from pansight.files import atomic_write\n"
        "print('before')\n"
        "with atomic_write('/dev/stdout') as temporary: temporary.write_text('0123456789\\n')\n"
        "print('after')"
    )
    with (tmp_path / "out.txt").open("w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "before\n0123456789\nafter\n"
