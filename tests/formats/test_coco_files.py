from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.errors import DataError
from pansight.formats.coco_files import is_crowd_flag, picture_folder, read_ids, read_json
from pansight.panoptic.ids import ids_to_rgb


def test_ids_are_read_as_they_were_written(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 255], [256, 65536, 2**24 - 1]], dtype=np.int32)
    Image.fromarray(ids_to_rgb(ids)).save(tmp_path / "rgb.png")
    alpha = np.array([[0, 9, 255], [1, 2, 3]], dtype=np.uint8)
    Image.fromarray(np.dstack([ids_to_rgb(ids), alpha])).save(tmp_path / "rgba.png")
    for name in ("rgb.png", "rgba.png"):
        found = read_ids(tmp_path / name)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
def test_pictures_that_hold_no_ids_are_refused(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "ids.png"
    Image.new("L", (4, 3), 1).convert("L" if mode == "I;16" else mode).save(file)
    if mode == "I;16":
        Image.fromarray(np.full((3, 4), 700, dtype=np.uint16)).save(file)
    with pytest.raises(DataError, match=rf"ids.png: an image of mode {mode} holds no segment ids"):
        read_ids(file)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", None])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ids.png"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"ids.png: cannot be read") as caught:
        read_ids(file)
    assert "\n" not in str(caught.value)


def test_a_damaged_or_missing_picture_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ids.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"ids.png: cannot be read"):
        read_ids(file)
    with pytest.raises(DataError, match=r"none.png: no such file"):
        read_ids(tmp_path / "none.png")


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not a file name") as caught:
        read_ids(tmp_path / name)
    str(caught.value).encode("utf-8")  # it can be printed


def test_json_that_is_no_coco_file_is_named(tmp_path: Path) -> None:
    for name, content, reason in (
        ("text", "{", "not a JSON file"),
        ("bytes", "\udcff", "not a JSON file"),
        ("list", "[]", 'no list "annotations"'),
        ("object", '{"annotations": {}}', 'no list "annotations"'),
    ):
        (tmp_path / name).write_text(content, errors="surrogateescape")
        with pytest.raises(DataError, match=rf"{name}: {reason}"):
            read_json(tmp_path / name)
    with pytest.raises(DataError, match=r"none: cannot be read \(No such file"):
        read_json(tmp_path / "none")


def test_pictures_lie_beside_the_json_unless_told_else() -> None:
    assert picture_folder("a/panoptic_val.v2.json", None) == Path("a/panoptic_val.v2")
    assert picture_folder("a/b.json", "c") == Path("c")


@pytest.mark.parametrize("value", [True, 1, 1.0, "1"])
def test_what_exporters_write_for_a_crowd_is_one(value: Any) -> None:
    assert is_crowd_flag(value) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", None])
def test_what_exporters_write_for_a_single_object_is_no_crowd(value: Any) -> None:
    assert is_crowd_flag(value) is False


@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan"), "", "no", "true", [], [1], {}])
def test_a_flag_that_is_neither_is_refused_by_its_value(value: Any) -> None:
    with pytest.raises(DataError, match=r"^iscrowd is .*neither 0 nor 1; correct it$") as caught:
        is_crowd_flag(value)
    assert repr(value) in str(caught.value)
