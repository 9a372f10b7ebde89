"""`pansight data prepare`, Cityscapes beside its official files included."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.formats.coco_files import read_ids
from pansight.panoptic.ids import ids_to_rgb

Pansight = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """COCO panoptic data of six pictures, with wrong areas and boxes in it."""
    folder = tmp_path / "source"
    (folder / "panoptic_val").mkdir(parents=True)
    annotations = []
    for number in range(6):
        ids = np.full((12, 16), 5, np.int32)
        ids[2:6, number : number + 5] = 70000
        Image.fromarray(ids_to_rgb(ids)).save(folder / "panoptic_val" / f"{number}.png")
        rows = [
            {"id": 5, "category_id": 2, "area": 1, "bbox": [], "iscrowd": 0},
            {"id": 70000, "category_id": 1, "area": 1, "bbox": [], "iscrowd": 1},
        ]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": rows})
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(6)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "car", "isthing": 1}, {"id": 2, "name": "road", "isthing": 0}],
    }
    (folder / "panoptic_val.json").write_text(json.dumps(content))
    return folder / "panoptic_val.json"


def table(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_all_is_measured_anew(pansight: Pansight, source: Path, tmp_path: Path, workers: int) -> None:
    run = pansight("data", "prepare", source, tmp_path / "out", "--workers", workers)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("6 images prepared in ") and "0 failed" in run.out
    content = table(tmp_path / "out" / "panoptic_val.json")
    assert content["images"][3] == {"id": 3, "width": 16, "height": 12, "file_name": "3.jpg"}
    assert content["annotations"][3]["segments_info"] == [
        {"id": 5, "category_id": 2, "area": 172, "bbox": [0, 0, 16, 12], "iscrowd": 0},
        {"id": 70000, "category_id": 1, "area": 20, "bbox": [3, 2, 5, 4], "iscrowd": 1},
    ]
    for number in range(6):
        made = read_ids(tmp_path / "out" / "panoptic_val" / f"{number}.png")
        assert np.array_equal(made, read_ids(source.with_suffix("") / f"{number}.png"))


def test_what_is_broken_is_named_and_fixed_later(pansight: Pansight, source: Path, tmp_path: Path) -> None:
    broken = source.with_suffix("") / "2.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:30])
    run = pansight("data", "prepare", source, tmp_path / "out", "-j", 1)
    assert run.code == 1
    (line,) = run.failed
    assert "2.png" in line
    assert "5 images prepared" in run.out and "1 failed" in run.out
    assert len(table(tmp_path / "out" / "panoptic_val.json")["images"]) == 5
    broken.write_bytes(whole)
    run = pansight("data", "prepare", source, tmp_path / "out", "-j", 1)
    assert run.code == 0
    assert "6 images prepared" in run.out and "5 of them kept from before" in run.out
    assert len(table(tmp_path / "out" / "panoptic_val.json")["images"]) == 6


def test_ctrl_c_keeps_what_was_done(
    pansight: Pansight, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, calls = Image.Image.save, []

    def save(picture: Image.Image, *arguments: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        genuine(picture, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    run = pansight("data", "prepare", source, tmp_path / "out", "-j", 1)
    assert run.code == 130
    assert "stopped by Ctrl-C; finished work is kept, the same command continues from there" in run.err
    files = sorted(path.name for path in (tmp_path / "out" / "panoptic_val").iterdir())
    assert files == ["0.png", "1.png", "2.png"]
    assert not (tmp_path / "out" / "panoptic_val.json").exists()
    run = pansight("data", "prepare", source, tmp_path / "out", "-j", 1)
    assert run.code == 0 and "3 of them kept" in run.out


def test_a_full_disk_is_told_once(
    pansight: Pansight, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, calls = Image.Image.save, []

    def full(picture: Image.Image, *arguments: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        genuine(picture, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    run = pansight("data", "prepare", source, tmp_path / "out", "-j", 1)
    assert run.code == 1
    (line,) = run.failed
    assert "2.png: No space left on device; free space" in line
    assert "stopped, because the next would fail, too" in run.err
    assert not (tmp_path / "out" / "panoptic_val.json").exists()


def test_the_source_is_not_written_over(pansight: Pansight, source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    run = pansight("data", "prepare", source, source.parent)
    assert run.code == 2
    assert "panoptic_val.json would be overwritten while it is read" in run.err
    assert source.read_bytes() == before
    run = pansight(
        "data", "prepare", source, tmp_path / "other", "--panoptic", source.with_suffix(""), "--name", "mine"
    )
    assert run.code == 0 and (tmp_path / "other" / "mine" / "0.png").is_file()


def test_train_ids_are_for_cityscapes(pansight: Pansight, source: Path, tmp_path: Path) -> None:
    run = pansight("data", "prepare", source, tmp_path / "out", "--train-ids")
    assert run.code == 2
    assert "--train-ids is only for Cityscapes" in run.err and len(run.err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("train_ids", [False, True], ids=["labelIds", "trainIds"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_cityscapes_files_are_the_official_ones(
    pansight: Pansight, shared_data: Path, tmp_path: Path, split: str, train_ids: bool
) -> None:
    folder = shared_data / "data" / "formats" / "cityscapes"
    options = ["--train-ids"] if train_ids else []
    run = pansight(
        "data", "prepare", folder, tmp_path, "--kind", "cityscapes", "--split", split, "-j", 2, *options
    )
    assert (run.code, run.err) == (0, "")
    name = f"cityscapes_panoptic_{split}" + ("_trainId" if train_ids else "")
    official = folder / "gtFine" / name
    assert (tmp_path / f"{name}.json").read_bytes() == official.with_suffix(".json").read_bytes()
    made = sorted(path.name for path in (tmp_path / name).iterdir())
    assert made == sorted(path.name for path in official.iterdir())
    assert len(made) == {"train": 8, "val": 15}[split]
    for file in made:
        assert np.array_equal(
            np.asarray(Image.open(tmp_path / name / file)), np.asarray(Image.open(official / file))
        )


def test_no_folder_that_is_read_is_written_into(pansight: Pansight, source: Path, tmp_path: Path) -> None:
    labels = source.with_suffix("")
    before = {path: path.read_bytes() for path in labels.iterdir()}
    assert before
    for command in (
        ("convert", source, labels, "--to", "semantic"),
        ("convert", source, labels, "--to", "cityscapes", "--categories", "cityscapes"),
        ("prepare", source, source.parent, "--name", labels.name),
        ("prepare", source, labels.parent, "--name", "fresh", "--panoptic", labels),
    ):
        run = pansight("data", *command, "-j", 1)
        if "fresh" not in command:
            assert run.code == 2 and len(run.err.splitlines()) >= 1
    assert {path: path.read_bytes() for path in labels.iterdir()} == before
    assert pansight("data", "convert", source, labels, "--to", "semantic", "-j", 1).err == (
        f"error: {labels} would be overwritten while it is read; choose another folder\n"
    )
