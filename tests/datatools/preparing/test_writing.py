"""Writing panoptic files: whole, resumable, and past what is broken."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.datatools.preparing.plan import plan_panoptic
from pansight.datatools.preparing.polygons import LabelmePolygons
from pansight.datatools.preparing.writing import Preparation
from pansight.errors import InputError
from pansight.formats.coco_files import read_ids

Source = Callable[..., Any]


def prepare(source: Any, folder: Path, workers: int = 1) -> Preparation:
    return Preparation(source, plan_panoptic(source, folder, "panoptic_x"), workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_written_reads_back_the_same(tmp_path: Path, make_truths: Source, workers: int) -> None:
    source = make_truths(9)
    preparation = prepare(source, tmp_path, workers)
    assert [outcome.problem for outcome in preparation.start()] == [None] * 9
    preparation.save()
    data = CocoPanoptic(tmp_path / "panoptic_x.json", tmp_path)
    assert data.categories == source.categories
    for index in range(9):
        truth = source.truth(index)
        assert data.truth(index).segments == truth.segments
        assert np.array_equal(data.truth(index).ids, truth.ids)


def test_the_table_says_all_of_a_segment(tmp_path: Path, make_truths: Source) -> None:
    preparation = prepare(make_truths(1), tmp_path)
    list(preparation.start())
    content = json.loads(preparation.save().read_text())
    assert content["images"] == [{"id": 100, "width": 30, "height": 20, "file_name": "p0.jpg"}]
    (annotation,) = content["annotations"]
    assert annotation["file_name"] == "p0.png" and annotation["image_id"] == 100
    assert annotation["segments_info"][1:] == [
        {"id": 300, "category_id": 3, "area": 18, "bbox": [2, 3, 3, 6], "iscrowd": 0},
        {"id": 70000, "category_id": 5, "area": 16, "bbox": [4, 10, 4, 4], "iscrowd": 0},
        {"id": 12, "category_id": 5, "area": 30, "bbox": [20, 15, 10, 3], "iscrowd": 1},
    ]
    assert content["categories"][2] == {
        "id": 9, "name": "road", "isthing": 0, "color": [128, 64, 128], "supercategory": "",
    }  # fmt: skip


def test_a_broken_sample_is_told_and_the_rest_goes_on(tmp_path: Path, make_truths: Source) -> None:
    preparation = prepare(make_truths(5, broken=(1, 3)), tmp_path)
    outcomes = list(preparation.start())
    assert [outcome.problem for outcome in outcomes] == [None, "p1.png: broken", None, "p3.png: broken", None]
    assert (preparation.written, preparation.failed, preparation.stopped) == (3, 2, False)
    content = json.loads(preparation.save().read_text())
    assert [row["image_id"] for row in content["annotations"]] == [100, 102, 104]
    assert [row["id"] for row in content["images"]] == [100, 102, 104]


def test_what_is_done_and_right_is_kept(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(5)
    list(prepare(source, tmp_path).start())
    pictures = tmp_path / "panoptic_x"
    before = {path.name: path.stat().st_mtime_ns for path in pictures.iterdir()}
    (pictures / "p0.png").unlink()
    (pictures / "p1.png").write_bytes((pictures / "p1.png").read_bytes()[:-40])
    wrong = np.asarray(Image.open(pictures / "p2.png")).copy()
    wrong[5, 5] = 1
    Image.fromarray(wrong).save(pictures / "p2.png")
    Image.new("RGB", (5, 5)).save(pictures / "p3.png")
    again = prepare(source, tmp_path)
    assert [outcome.kept for outcome in again.start()] == [False, False, False, False, True]
    assert (again.written, again.kept) == (4, 1)
    assert (pictures / "p4.png").stat().st_mtime_ns == before["p4.png"]
    for index in range(5):
        assert np.array_equal(read_ids(pictures / f"p{index}.png"), source.truth(index).ids)


def test_stopping_early_leaves_whole_pictures_and_no_table(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(30)
    outcomes = prepare(source, tmp_path, workers=2).start()
    next(outcomes)
    outcomes.close()
    done = sorted((tmp_path / "panoptic_x").iterdir())
    assert 0 < len(done) < 30
    for path in done:  # hidden temporary files would be here, too
        assert read_ids(path).shape == (20, 30)
    assert not (tmp_path / "panoptic_x.json").exists()
    again = prepare(source, tmp_path, workers=2)
    list(again.start())
    assert (again.kept, again.written) == (len(done), 30 - len(done))


@pytest.mark.parametrize(("number", "stopped"), [(errno.ENOSPC, True), (errno.ENAMETOOLONG, False)])
def test_a_full_disk_ends_it_and_an_odd_name_does_not(
    tmp_path: Path, make_truths: Source, monkeypatch: pytest.MonkeyPatch, number: int, stopped: bool
) -> None:
    preparation = prepare(make_truths(4), tmp_path)
    genuine = Image.Image.save

    def save(picture: Image.Image, path: Path, *arguments: Any) -> None:
        if len(list(preparation.plan.pictures.glob("[!.]*"))) == 1 and not preparation.failed:
            raise OSError(number, "no")
        genuine(picture, path, *arguments)

    monkeypatch.setattr(Image.Image, "save", save)
    outcomes = list(preparation.start())
    assert len(outcomes) == (2 if stopped else 4)
    assert outcomes[1].problem is not None and "p1.png: no;" in outcomes[1].problem
    assert (preparation.stopped, preparation.failed) == (stopped, 1)


def test_problems_of_several_lines_become_one(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(1)
    source.truth = lambda index: (_ for _ in ()).throw(InputError("one\n  two"))
    (outcome,) = prepare(source, tmp_path).start()
    assert outcome.problem is not None and "\n" not in outcome.problem


def test_names_that_are_too_long_are_told(tmp_path: Path) -> None:
    content = {"imageHeight": 2, "imageWidth": 2, "shapes": [], "imagePath": "x" * 400 + ".jpg"}
    (tmp_path / "a.json").write_text(json.dumps(content))
    source = LabelmePolygons(tmp_path, Categories.builtin("scenes"))
    (outcome,) = Preparation(source, plan_panoptic(source, tmp_path / "out", "panoptic")).start()
    assert outcome.problem is not None and "File name too long" in outcome.problem
