"""`pansight data convert` and `predict --format` between annotation tools, through the real entry point."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.cli.convert_sources import TOOLS
from pansight.cli.data_convert import FORMAT_NAMES
from pansight.data.coco import CocoPanoptic
from pansight.formats.annotation import FORMATS, VIDEO_WRITERS
from pansight.panoptic import PanopticMap

Pansight = Callable[..., Any]

CLASSES = Categories.from_json(
    [
        {"id": 1, "name": "car", "isthing": 1},
        {"id": 2, "name": "person", "isthing": 1},
        {"id": 5, "name": "road", "isthing": 0},
    ]
)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """One image of COCO panoptic: a car with a hole in it and in two parts, a crowd, road and void."""
    ids = np.zeros((12, 16), np.int32)
    ids[8:] = 4
    ids[2:7, 1:6] = ids[9:11, 10:12] = 7
    ids[4, 3] = 0
    ids[1:4, 9:15] = 9
    panoptic = PanopticMap.from_table(ids, [(4, 2), (7, 0), (9, 1, None, True)], CLASSES)
    rgb, annotation = panoptic.to_coco(3, "a.png")
    (tmp_path / "panoptic").mkdir()
    Image.fromarray(rgb).save(tmp_path / "panoptic" / "a.png")
    image = {"id": 3, "file_name": "sub/a.jpg", "width": 16, "height": 12}
    content = {"images": [image], "annotations": [annotation], "categories": CLASSES.to_json()}
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    return tmp_path / "panoptic.json"


def test_the_help_names_every_format() -> None:
    assert set(FORMAT_NAMES.split(", ")) == {"coco-panoptic", "coco-instances", *FORMATS, *VIDEO_WRITERS}
    assert set(TOOLS.split(", ")) == {"coco-instances", *FORMATS}


@pytest.mark.parametrize("name", ["cvat", "Label_Studio", "segments", "hf", "datumaro"])
def test_there_and_back_by_the_command_line(
    pansight: Pansight, coco: Path, tmp_path: Path, name: str
) -> None:
    run = pansight("data", "convert", coco, tmp_path / "tool", "--to", name, "-j", 1)
    assert (run.code, run.err) == (0, "")
    run = pansight("data", "convert", tmp_path / "tool", tmp_path / "back", "-j", 1)  # recognised
    assert (run.code, run.err) == (0, "")
    back = CocoPanoptic(tmp_path / "back" / "panoptic.json", None)
    truth = CocoPanoptic(coco, None)
    assert back.categories == truth.categories
    assert back.truth(0).same_as(truth.truth(0))


def test_one_file_of_labelme_and_a_name_that_no_label_has(
    pansight: Pansight, coco: Path, tmp_path: Path
) -> None:
    run = pansight("data", "convert", coco, tmp_path / "tool", "--to", "labelme", "-j", 1)
    (file,) = (tmp_path / "tool" / "sub").glob("*.json")
    run = pansight("data", "convert", file, tmp_path / "back", "--stuff", "road, raod", "-j", 1)
    assert run.code == 0, run.err
    assert run.err == "remark: no label is called raod: written as classes without a segment\n"
    back = CocoPanoptic(tmp_path / "back" / "panoptic.json", None)
    assert back.names == ("a.jpg",) and np.array_equal(
        back.truth(0).ids, CocoPanoptic(coco, None).truth(0).ids
    )


def test_what_a_target_cannot_hold_is_counted_and_named(
    pansight: Pansight, coco: Path, tmp_path: Path
) -> None:
    run = pansight("data", "convert", coco, tmp_path / "out", "--to", "yolo", "-j", 1)
    assert run.code == 0
    remarks = [line for line in run.err.splitlines() if line.startswith("remark: ")]
    assert len(remarks) == 3
    assert any(
        "1 of 3 objects that are stuff" in line and "sub/a.jpg, segment 4 (road)" in line for line in remarks
    )
    assert any("that are crowds" in line and "segment 9 (person)" in line for line in remarks)
    assert any("in several parts" in line and "segment 7 (car)" in line for line in remarks)
    (line,) = (tmp_path / "out" / "labels" / "sub" / "a.txt").read_text().splitlines()
    assert line.startswith("0 ")
    run = pansight("data", "convert", coco, tmp_path / "inst", "--to", "coco-instances", "-j", 1)
    assert run.code == 0 and "1 of 3 objects that are stuff" in run.err


def test_classes_are_asked_for_where_nobody_says_what_is_stuff(
    pansight: Pansight, coco: Path, tmp_path: Path
) -> None:
    assert pansight("data", "convert", coco, tmp_path / "tool", "--to", "cvat", "-j", 1).code == 0
    (tmp_path / "tool" / "classes.json").unlink()
    run = pansight("data", "convert", tmp_path / "tool", tmp_path / "out", "-j", 1)
    assert run.code == 2 and "which of the classes car, person, road are things" in run.err
    run = pansight("data", "convert", tmp_path / "tool", tmp_path / "out", "-j", 1, "--stuff", "road")
    assert run.code == 0
    assert CocoPanoptic(tmp_path / "out" / "panoptic.json", None).categories.is_thing.tolist() == [
        True,
        True,
        False,
    ]


def test_a_class_map_goes_with_any_source(pansight: Pansight, coco: Path, tmp_path: Path) -> None:
    assert pansight("data", "convert", coco, tmp_path / "tool", "--to", "cvat", "-j", 1).code == 0
    (tmp_path / "map.yaml").write_text("object: [car, person]\n")
    run = pansight(
        "data", "convert", tmp_path / "tool", tmp_path / "out", "--map", tmp_path / "map.yaml", "-j", 1,
        "--name", "mapped",
    )  # fmt: skip
    assert run.code == 0
    mapped = CocoPanoptic(tmp_path / "out" / "mapped.json", None)
    assert mapped.categories.names == ("object",)
    assert sorted(one.area for one in mapped.truth(0).segments) == [18, 28]


def test_broken_run_lengths_name_image_and_label(pansight: Pansight, coco: Path, tmp_path: Path) -> None:
    assert pansight("data", "convert", coco, tmp_path / "tool", "--to", "cvat", "-j", 1).code == 0
    file = tmp_path / "tool" / "annotations.xml"
    file.write_text(file.read_text().replace('rle="0, ', 'rle="1, '))
    run = pansight("data", "convert", tmp_path / "tool", tmp_path / "out", "-j", 1)
    assert run.code == 2
    (line,) = run.failed
    assert "image 'sub/a.jpg', mask 0 (road) has run lengths for 65 of 64 pixels" in line


def test_predictions_go_to_a_tool_with_scores(
    pansight: Pansight, small_weights: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(tmp_path / "x.png")
    run = pansight(
        "predict", tmp_path / "x.png", "--weights", small_weights, "-o", tmp_path / "out",
        "--format", "label-studio", "--object-threshold", 0,
    )  # fmt: skip
    assert run.code == 0
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert task["data"] == {"image": "x.png"}
    (prediction,) = task["predictions"]
    assert prediction["result"] and all(0 <= row["score"] <= 1 for row in prediction["result"])
    run = pansight("predict", tmp_path / "x.png", "--weights", small_weights, "--format", "photoshop")
    assert run.code == 2 and "label-studio" in run.err


def test_segments_are_written_as_a_table(pansight: Pansight, coco: Path, tmp_path: Path) -> None:
    table = tmp_path / "segments.csv"
    run = pansight("evaluate", coco, coco, "--segments", table)
    assert run.code == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["category"], row["outcome"]) for row in rows[:3]] == [
        ("road", "matched"),
        ("car", "matched"),
        ("person", "excused"),
    ]
    assert {row["iou"] for row in rows[:2]} == {"1.0"}


def test_masks_of_cvat_are_no_crowds(pansight: Pansight, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data" / "annotation" / "cvat"
    said = json.loads((folder / "expected.json").read_text())["own_coco10/annotations/instances_default.json"]
    arguments = (folder / "own_coco10", tmp_path, "--stuff", "sky,road,tree", "-j", 1)
    run = pansight("data", "convert", *arguments)
    assert run.code == 0
    assert run.err.startswith(
        "remark: every object with run lengths is a crowd (iscrowd 1), and no other is: CVAT"
    )
    run = pansight("data", "convert", *arguments, "--no-crowds")
    assert run.code == 0 and "run lengths" not in run.err
    (table,) = tmp_path.glob("panoptic*.json")
    data = CocoPanoptic(table, None)
    panoptic = data.truth(0)
    assert not any(one.is_crowd for one in panoptic.segments)
    things = sorted(one.area for one in panoptic.things())
    rows = said["images"][Path(data.names[0]).name]
    # a polygon of a person, 3 pixels wide by the COCO rule, lies on a car 9 pixels high
    assert things == sorted(
        row["area"] - (27 if row["area"] == 306 else 0)
        for row in rows
        if row["label"] not in ("sky", "road", "tree")
    )


@pytest.mark.parametrize("kind", ["kitti-step", "cityscapes-vps", "vipseg"])
def test_video_data_sets_by_the_command_line(
    kind: str, pansight: Pansight, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "data" / "annotation" / "video" / "own_kitti_step"
    run = pansight("data", "convert", source, tmp_path / "panoptic", "-j", 1)  # recognised
    assert (run.code, run.err) == (0, "")
    run = pansight("data", "convert", source, tmp_path / kind, "--to", kind, "-j", 1)
    assert (run.code, run.err) == (0, "")
    run = pansight("data", "convert", tmp_path / kind, tmp_path / "back", "--from", kind, "-j", 1)
    assert (run.code, run.err) == (0, "")
    once, twice = (CocoPanoptic(tmp_path / name / "panoptic.json", None) for name in ("panoptic", "back"))
    assert len(once) == len(twice) == 2
    for number in range(2):
        assert once.truth(number).same_as(twice.truth(number))
        assert np.array_equal(once.truth(number).ids, twice.truth(number).ids)
