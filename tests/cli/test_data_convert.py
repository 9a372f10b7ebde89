"""`pansight data convert`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.formats.coco_files import read_ids

Pansight = Callable[..., Any]


def polygon(label: str, left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    right, bottom = right - 1, bottom - 1  # pixel indices, the outline belongs to it
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"label": label, "points": points, "shape_type": "polygon", "group_id": None}


@pytest.fixture
def polygons(tmp_path: Path) -> Path:
    folder = tmp_path / "polygons"
    folder.mkdir()
    for name, left in (("a", 2), ("b", 5), ("c", 9)):
        shapes = [polygon("road", 0, 10, 30, 20), polygon("car", left, 8, left + 10, 14)]
        content = {"imagePath": f"{name}.jpg", "imageHeight": 20, "imageWidth": 30, "shapes": shapes}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def table(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    "options", [("--things", "car"), ("--stuff", "road"), ("--things", "car", "--stuff", "road")]
)
def test_polygons_become_panoptic(
    pansight: Pansight, polygons: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    run = pansight("data", "convert", polygons, tmp_path / "out", *options)
    assert (run.code, run.err) == (0, "")
    assert "3 images converted in" in run.out and "0 failed" in run.out
    content = table(tmp_path / "out" / "panoptic.json")
    assert [(row["name"], row["isthing"]) for row in content["categories"]] == [("car", 1), ("road", 0)]
    assert content["images"][1] == {"id": 2, "width": 30, "height": 20, "file_name": "b.jpg"}
    assert content["annotations"][1]["segments_info"] == [
        {"id": 1, "category_id": 2, "area": 260, "bbox": [0, 10, 30, 10], "iscrowd": 0},
        {"id": 2, "category_id": 1, "area": 60, "bbox": [5, 8, 10, 6], "iscrowd": 0},
    ]
    ids = read_ids(tmp_path / "out" / "panoptic" / "b.png")
    assert [ids[0, 0], ids[19, 0], ids[8, 5]] == [0, 1, 2]


def test_the_order_of_labels_can_be_given(pansight: Pansight, polygons: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("__ignore__\n_background_\nsky\nroad\nbus\ncar\n")
    run = pansight("data", "convert", polygons, tmp_path / "out", "--labels", labels, "--things", "bus,car")
    assert run.code == 0
    names = [row["name"] for row in table(tmp_path / "out" / "panoptic.json")["categories"]]
    assert names == ["bus", "car", "sky", "road"]


def test_it_can_be_written_into_the_same_folder_twice(pansight: Pansight, polygons: Path) -> None:
    assert pansight("data", "convert", polygons, polygons, "--things", "car").code == 0
    run = pansight("data", "convert", polygons, polygons, "--things", "car")
    assert run.code == 0
    assert "3 images converted" in run.out and "3 of them kept from before" in run.out


def test_a_broken_file_is_named_and_the_others_go_on(
    pansight: Pansight, polygons: Path, tmp_path: Path
) -> None:
    (polygons / "b.json").write_text("{")
    run = pansight("data", "convert", polygons, tmp_path / "out", "--things", "car")
    assert run.code == 1
    (line,) = run.failed
    assert "b.json: no JSON file" in line
    assert "2 images converted" in run.out and "1 failed" in run.out
    content = table(tmp_path / "out" / "panoptic.json")
    assert [row["id"] for row in content["images"]] == [1, 3]


def test_nothing_done_is_code_2_and_no_table(pansight: Pansight, polygons: Path, tmp_path: Path) -> None:
    for file in polygons.iterdir():
        file.write_text('{"shapes": [{"label": "car", "points": "none"}]}')
    run = pansight("data", "convert", polygons, tmp_path / "out", "--things", "car")
    assert run.code == 2
    assert len(run.failed) == 3
    assert not (tmp_path / "out" / "panoptic.json").exists()


def coco(tmp_path: Path) -> tuple[Path, Path]:
    instances = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 10, "width": 12}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[2, 2, 8, 2, 8, 8, 2, 8]]},
            {"id": 2, "image_id": 7, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]},
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    stuff = {
        "images": instances["images"],
        "annotations": [
            {"id": 9, "image_id": 7, "category_id": 4, "segmentation": {"size": [10, 12], "counts": [0, 120]}}
        ],
        "categories": [{"id": 4, "name": "road"}],
    }
    (tmp_path / "instances_val.json").write_text(json.dumps(instances))
    (tmp_path / "stuff_val.json").write_text(json.dumps(stuff))
    return tmp_path / "instances_val.json", tmp_path / "stuff_val.json"


def test_instances_and_stuff_become_panoptic(pansight: Pansight, tmp_path: Path) -> None:
    instances, stuff = coco(tmp_path)
    run = pansight("data", "convert", instances, tmp_path / "out", "--with-stuff", stuff, "-j", 2)
    assert (run.code, run.err) == (0, "")
    rows = table(tmp_path / "out" / "panoptic_val.json")["annotations"][0]["segments_info"]
    assert sorted((row["category_id"], row["area"]) for row in rows) == [(1, 36), (1, 45), (4, 39)]


def test_label_maps_take_classes_from_the_stuff_json(pansight: Pansight, tmp_path: Path) -> None:
    instances, stuff = coco(tmp_path)
    (tmp_path / "maps").mkdir()
    Image.fromarray(np.full((10, 12), 4, np.uint8)).save(tmp_path / "maps" / "a.png")
    classes = tmp_path / "all.json"
    rows = [*table(instances)["categories"], *table(stuff)["categories"]]
    classes.write_text(json.dumps(rows))
    run = pansight(
        "data", "convert", instances, tmp_path / "out", "--with-stuff", tmp_path / "maps",
        "--categories", classes,
    )  # fmt: skip
    assert (run.code, run.err) == (0, "")
    content = table(tmp_path / "out" / "panoptic_val.json")
    assert [row["isthing"] for row in content["categories"]] == [1, 0]
    rows = content["annotations"][0]["segments_info"]
    assert sorted((row["category_id"], row["area"]) for row in rows) == [(1, 36), (1, 45), (4, 39)]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("none",), "none: no such file or folder"),
        (("polygons",), "which of the classes car, road are things (countable)? name them with --things"),
        (("polygons", "--things", "car", "--stuff", "car"), "'car' is named among the things and among the"),
        (
            ("polygons", "--things", "car", "--with-stuff", "x"),
            "--with-stuff means nothing for labelme files",
        ),
        (
            ("polygons", "--to", "vox"),
            "--to vox is not a format; use coco-panoptic, coco-instances, cvat, cvat-mask",
        ),
        (("polygons", "--categories", "x.json"), "x.json is neither a built-in category set"),
        (("polygons", "--categories", "coco", "--things", "car"), "--things means nothing for --categories"),
        (("panoptic.json", "--to", "semantic", "--things", "car"), "--things means nothing for a data set"),
        (("polygons", "--from", "vox"), "no format is called 'vox'; known are cvat, cvat-mask"),
        (("polygons", "--to", "voc", "--name", "x"), "--name means nothing for voc"),
        (("polygons", "--from", "cvat", "--boxes-as-masks"), "--boxes-as-masks means nothing for cvat files"),
        (("other.json",), 'no list "annotations" in it'),
        (("panoptic.json",), "is COCO panoptic already; choose another form with --to"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    pansight: Pansight,
    polygons: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    fault: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("panoptic.json").write_text(json.dumps({"annotations": [{"segments_info": []}], "categories": []}))
    Path("other.json").write_text('{"points": []}')
    run = pansight("data", "convert", arguments[0], "out", *arguments[1:])
    assert run.code == 2
    assert fault in run.err and len(run.err.splitlines()) == 1


@pytest.fixture
def panoptic(pansight: Pansight, polygons: Path, tmp_path: Path) -> Path:
    """Three pictures as COCO panoptic, with a folder of pictures that is empty."""
    assert pansight("data", "convert", polygons, tmp_path / "coco", "--things", "car").code == 0
    (tmp_path / "coco" / "images").mkdir()
    return tmp_path / "coco" / "panoptic.json"


def test_panoptic_becomes_a_semantic_map(pansight: Pansight, panoptic: Path, tmp_path: Path) -> None:
    run = pansight("data", "convert", panoptic, tmp_path / "out", "--to", "semantic")
    assert (run.code, run.err) == (0, "")
    assert f"see {tmp_path / 'out'}" in run.out
    values = np.asarray(Image.open(tmp_path / "out" / "b.png"))
    assert [values[0, 0], values[19, 0], values[8, 5]] == [255, 1, 0]
    assert [row["name"] for row in table(tmp_path / "out" / "classes.json")] == ["car", "road"]


def test_panoptic_becomes_instances_and_back(pansight: Pansight, panoptic: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pansight("data", "convert", panoptic, out, "--to", "instances", "-j", 2).code == 0
    rows = table(out / "instances.json")["annotations"]
    assert [(row["image_id"], row["bbox"]) for row in rows] == [
        (1, [2, 8, 10, 6]),
        (2, [5, 8, 10, 6]),
        (3, [9, 8, 10, 6]),
    ]
    assert pansight("data", "convert", out / "instances.json", tmp_path / "back", "--name", "again").code == 0
    (row,) = table(tmp_path / "back" / "again.json")["annotations"][1]["segments_info"]
    assert (row["area"], row["bbox"]) == (60, [5, 8, 10, 6])


def test_panoptic_becomes_cityscapes(pansight: Pansight, panoptic: Path, tmp_path: Path) -> None:
    run = pansight("data", "convert", panoptic, tmp_path / "out", "--to", "cityscapes")
    assert (run.code, run.err) == (0, "")
    instance_ids = np.asarray(Image.open(tmp_path / "out" / "b_gtFine_instanceIds.png"))
    assert sorted(set(instance_ids.ravel().tolist())) == [0, 2, 1000]
    assert instance_ids[8, 5] == 1000


def test_a_missing_id_picture_is_named(pansight: Pansight, panoptic: Path, tmp_path: Path) -> None:
    (panoptic.with_suffix("") / "b.png").unlink()
    run = pansight("data", "convert", panoptic, tmp_path / "out", "--to", "semantic", "-j", 1)
    assert run.code == 1
    (line,) = run.failed
    assert "b.png: no such file" in line


def test_polygons_without_any_label_are_said_to_be_so(pansight: Pansight, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"shapes": [], "imageHeight": 4, "imageWidth": 4}')
    run = pansight("data", "convert", tmp_path, tmp_path / "out")
    assert run.code == 2
    assert run.err == (
        "error: no shape in these files has a label; name the classes with --things and --stuff\n"
    )
