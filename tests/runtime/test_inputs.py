"""What people type, and the names of what is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.runtime.inputs import find_pictures, image_ids, output_names, relative_names


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures by name alone: nothing here opens them."""
    names = (
        "b.jpg",
        "a.JPEG",
        "c.png",
        "notes.txt",
        ".hidden.jpg",
        "sub/d.webp",
        "sub/deep/e.tif",
        "x [1].jpg",
    )
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str) -> list[str]:
    pictures, problems = find_pictures(arguments)
    assert problems == []
    return [path.as_posix() for path in pictures]


def test_a_folder_is_what_lies_directly_in_it(album: Path) -> None:
    names = ["a.JPEG", "b.jpg", "broken.jpg", "c.png", "folder.jpg", "x [1].jpg"]
    assert found(".") == names
    assert found(str(album)) == [(album / name).as_posix() for name in names]
    assert found("sub") == ["sub/d.webp"]


def test_patterns(album: Path) -> None:
    assert found("*b*.jp*g") == ["b.jpg", "broken.jpg"]
    assert found("?.png") == ["c.png"]
    assert found("sub/**/*") == ["sub/d.webp", "sub/deep/e.tif"]
    assert found("**/*.tif") == ["sub/deep/e.tif"]
    assert found("s*") == ["sub/d.webp"]


def test_an_empty_folder_spoils_no_pattern(album: Path) -> None:
    pictures, problems = find_pictures(["[bf]*.jpg"])
    assert [path.name for path in pictures] == ["b.jpg", "broken.jpg"]
    assert len(problems) == 1
    assert problems[0].startswith("folder.jpg: no images in this folder")


def test_a_name_goes_before_a_pattern(album: Path) -> None:
    assert found("x [1].jpg") == ["x [1].jpg"]


def test_files_are_taken_as_given_and_once(album: Path) -> None:
    assert found("notes.txt", "gone.jpg", "b.jpg") == ["notes.txt", "gone.jpg", "b.jpg"]
    assert found("b.jpg", "./b.jpg", str(album / "b.jpg"), "sub/../b.jpg", "b.*") == ["b.jpg"]


def test_the_home_folder_in_a_quoted_pattern(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(album))
    monkeypatch.setenv("USERPROFILE", str(album))
    assert found("~/sub/*.webp") == [(album / "sub/d.webp").as_posix()]


def test_what_stands_for_nothing_is_told(album: Path) -> None:
    (album / "empty").mkdir()
    pictures, problems = find_pictures(["empty", "c.png", "*.bmp", "nobody\n*"])
    assert pictures == [Path("c.png")]
    assert ["empty: no images" in problems[0], "*.bmp: nothing matches" in problems[1]] == [True, True]
    assert problems[2].startswith("nobody\\n*: ")
    assert find_pictures([""])[0] == []
    assert found("x" * 300 + ".jpg") == ["x" * 300 + ".jpg"]  # whoever opens it says what is wrong with it


def test_names_are_the_pictures_own_unless_shared() -> None:
    def names(*paths: str) -> list[str]:
        return output_names([Path(path) for path in paths])

    assert names("x.jpg", "b/y.png") == ["x", "y"]
    assert names("a/x.jpg", "b/x.jpg", "c/y.jpg") == ["a_x", "b_x", "y"]
    assert names("a/x.jpg", "a/x.png", "a/X.gif") == ["a_x", "a_x_2", "a_X_3"]
    assert names("a/x.jpg", "b/x.jpg", "a_x.jpg") == ["a_x_2", "b_x", "a_x"]
    assert names("a/é.jpg", "b/e\u0301.jpg") == ["a_é", "b_e\u0301"]  # the same name to some file systems
    assert names("/x.jpg", "/x.png") == ["x", "x_2"]
    assert names("two words.jpg", "夜の街.jpg", "Straße.jpg") == ["two words", "夜の街", "Straße"]


def test_long_and_undecodable_names_are_cut_to_what_any_disk_takes() -> None:
    stems = ["夜" * 83, "夜" * 82 + "街", "x" * 250, "a" + "\udcff" + "b", "\udcff"]
    names = output_names([Path(f"{stem}.jpg") for stem in stems])
    assert len(set(names)) == len(names)
    assert all(0 < len(name.encode()) <= 250 for name in names)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "a_x"]), st.sampled_from(["x", "X", "a_x", "x_2", "b_x"])))
)
def test_names_never_clash(places: list[tuple[str, str]]) -> None:
    names = output_names([Path(folder) / f"{stem}.png" for folder, stem in places])
    assert len({name.casefold() for name in names}) == len(places)


def test_names_below_the_common_folder() -> None:
    assert relative_names([Path("p/a/x.jpg"), Path("p/b/x.jpg")]) == ["a/x.jpg", "b/x.jpg"]
    assert relative_names([Path("p/x.jpg"), Path("p/y.jpg")]) == ["x.jpg", "y.jpg"]
    assert relative_names([Path("p/q/../x.jpg")]) == ["x.jpg"]


def test_ids_are_cocos_where_all_names_are_numbers() -> None:
    def ids(*names: str) -> list[int]:
        return image_ids([Path(name) for name in names])

    assert ids("000000000139.jpg", "a/000000000785.jpg") == [139, 785]
    assert ids("139.jpg", "x.jpg") == [1, 2]
    assert ids("139.jpg", "0139.jpg") == [1, 2]
    assert ids("².jpg") == [1]


def test_finding_pictures_does_not_wait_for_torch() -> None:
    code = "import sys, pansight.runtime.inputs, pansight.cli.main; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    pictures, problems = find_pictures([str(tmp_path / "secret")])
    assert pictures == []
    assert "permissions" in problems[0]
