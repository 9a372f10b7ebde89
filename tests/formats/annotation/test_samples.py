"""Real and own exports of every tool: areas, boxes and classes are those of their oracles (expected.json)."""

import json
from pathlib import Path
from typing import Any

import pytest

from pansight.categories import Categories
from pansight.formats.annotation import AnnotationReader, find_format, recognised_format
from pansight.formats.annotation.objects import painted
from pansight.panoptic import PanopticMap

THINGS = ("car", "person", "sign")
CLASSES = Categories.from_json(
    [
        {"id": number, "name": name, "isthing": int(name in THINGS)}
        for number, name in enumerate(("sky", "road", "tree", *THINGS), start=1)
    ]
)


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    """The folder of samples."""
    return shared_data / "data" / "annotation"


def expected(samples: Path, tool: str) -> Any:
    return json.loads((samples / tool / "expected.json").read_text())


def opened(samples: Path, place: str, name: str) -> AnnotationReader:
    """The reader of a place, which is recognised as the format `name`."""
    found = recognised_format(samples / place)
    assert found is not None and found.name == name
    assert found is find_format(name)
    return found.reader(samples / place)


def drawn(reader: AnnotationReader, index: int) -> list[tuple[str, int, list[int]]]:
    return [(one.label, one.area, list(one.box)) for one in reader.read(index).objects]


def figures(
    rows: list[dict[str, Any]], area: str = "area", box: str = "bbox"
) -> list[tuple[str, int, list[int]]]:
    return [(row["label"], row[area], row[box]) for row in rows if row.get(area)]


def seen(panoptic: PanopticMap) -> list[tuple[str, int, list[int], int]]:
    rows = [
        (panoptic.categories[one.category].name, one.area, list(one.box), int(one.is_crowd))
        for one in panoptic.segments
    ]
    return sorted(rows)


def seen_in(rows: list[dict[str, Any]], *, crowds: bool = True) -> list[tuple[str, int, list[int], int]]:
    return sorted((row["label"], row["area"], row["bbox"], row["iscrowd"] * crowds) for row in rows)


def position(reader: AnnotationReader, name: str) -> int:
    return next(n for n, one in enumerate(reader.names) if one == name or Path(one).stem == name)


def void(panoptic: PanopticMap) -> int:
    return int((panoptic.ids == 0).sum())


def test_cvat_xml_is_painted_by_z_order(samples: Path) -> None:
    reader = opened(samples, "cvat/own_images11", "cvat")
    for name, said in expected(samples, "cvat")["own_images11/annotations.xml"]["images"].items():
        index = position(reader, name)
        assert drawn(reader, index) == figures(said["shapes"])
        panoptic = painted(reader.read(index), CLASSES).panoptic
        assert seen(panoptic) == seen_in(said["panoptic"])
        assert void(panoptic) == said["void"]


def test_cvat_segmentation_mask(samples: Path) -> None:
    reader = opened(samples, "cvat/own_segmentation_mask11", "cvat-mask")
    truth = expected(samples, "cvat")["own_images11/annotations.xml"]["images"]
    for name, said in truth.items():
        panoptic = painted(reader.read(position(reader, Path(name).stem)), CLASSES).panoptic
        assert seen(panoptic) == seen_in(said["panoptic"], crowds=False)


def test_labelme_draws_as_labelme_does(samples: Path) -> None:
    truth = expected(samples, "labelme")
    classes = {}
    for file, said in truth.items():
        folder = samples / "labelme" / Path(file).parent
        reader = find_format("labelme").reader(folder)
        index = position(reader, Path(file).stem)
        assert drawn(reader, index) == figures(said["shapes"])
        names = sorted({row["label"] for row in said["panoptic_by_labelme"]} - {"__ignore__"})
        classes[file] = Categories.from_json(
            [{"id": n, "name": name, "isthing": 1} for n, name in enumerate(names, start=1)]
        )
        panoptic = painted(reader.read(index), classes[file]).panoptic
        rows = [row for row in said["panoptic_by_labelme"] if row["label"] != "__ignore__"]
        assert [row[:3] for row in seen(panoptic)] == sorted((r["label"], r["area"], r["bbox"]) for r in rows)


def test_label_studio_brushes(samples: Path) -> None:
    truth = expected(samples, "label_studio")["own_export/project.json"]["tasks"]
    format = find_format("label-studio")
    for threshold in (0, 127):
        reader = format.reader(samples / "label_studio" / "own_export", threshold=threshold)
        for name, said in truth.items():
            rows = [
                {
                    "label": row["label"],
                    "area": row.get(f"area_alpha_over_{threshold}", row.get("area")),
                    "bbox": row.get(f"bbox_alpha_over_{threshold}", row.get("bbox")),
                }
                for row in said["shapes"]
            ]
            assert drawn(reader, position(reader, name)) == figures(rows)
    for name, said in truth.items():
        panoptic = painted(reader.read(position(reader, name)), CLASSES).panoptic
        assert seen(panoptic) == seen_in(said["panoptic_alpha_over_127"], crowds=False)


def test_segments_ai(samples: Path) -> None:
    reader = opened(samples, "segments_ai/own", "segments-ai")
    for name, said in expected(samples, "segments_ai")["own"]["images"].items():
        panoptic = painted(reader.read(position(reader, name)), CLASSES).panoptic
        assert seen(panoptic) == seen_in(said["panoptic"], crowds=False)
        assert void(panoptic) == said["void"]
    assert [row.name for row in reader.classes if row.is_thing] == ["car", "person", "sign"]


def test_datumaro(samples: Path) -> None:
    reader = opened(samples, "datumaro/own_json", "datumaro")
    for name, said in expected(samples, "datumaro")["own_json/annotations/default.json"]["items"].items():
        index = position(reader, name)
        assert drawn(reader, index) == figures(said["shapes"])
        assert seen(painted(reader.read(index), CLASSES).panoptic) == seen_in(said["panoptic"])


def test_supervisely(samples: Path) -> None:
    reader = opened(samples, "supervisely/own_project", "supervisely")
    for name, said in expected(samples, "supervisely")["own_project"]["images"].items():
        index = position(reader, name)
        assert drawn(reader, index) == figures(said["shapes"])
        panoptic = painted(reader.read(index), CLASSES).panoptic
        assert seen(panoptic) == seen_in(said["panoptic"], crowds=False)


def test_fiftyone(samples: Path) -> None:
    reader = opened(samples, "fiftyone/own_dataset", "fiftyone")
    for name, said in expected(samples, "fiftyone")["own_dataset/samples.json"]["samples"].items():
        image = reader.read(position(reader, name))
        things = [one for one in image.objects if one.label in THINGS]
        assert [(one.label, one.area, list(one.box)) for one in things] == figures(said["detections"])
        assert [int(one.is_crowd) for one in things] == [row["iscrowd"] for row in said["detections"]]
        stuff = {one.label: one.area for one in image.objects if one.label not in THINGS}
        assert stuff == {label: n for label, n in said["semantic"].items() if label not in THINGS}


def test_yolo_corners_are_rounded_pixels(samples: Path) -> None:
    reader = opened(samples, "yolo_seg/own", "yolo")
    for name, said in expected(samples, "yolo_seg")["own"]["images"].items():
        rows = [{"label": r["label"], **r["by_fillPoly_rounded"]} for r in said["objects"] if "lost" not in r]
        assert drawn(reader, position(reader, name)) == figures(rows)


def test_voc_palettes(samples: Path) -> None:
    truth = expected(samples, "voc")
    reader = opened(samples, "voc/own", "voc")
    for name, said in truth["own"]["images"].items():
        assert sorted(drawn(reader, position(reader, name))) == sorted(figures(said["objects"]))
    said = truth["labelme_examples/2011_000003"]
    reader = opened(samples, "voc/labelme_examples", "voc")
    rows = [{**row, "label": said["class_names"][row["class_index"][0]]} for row in said["objects"]]
    assert sorted(drawn(reader, 0)) == sorted(figures(rows))


def test_bdd100k_bit_masks(samples: Path, tmp_path: Path) -> None:
    truth = expected(samples, "bdd100k")
    reader = opened(samples, "bdd100k/own", "bdd100k")
    number = {row.name: row.id for row in reader.classes}
    for name, said in truth["own"]["images"].items():
        image = reader.read(position(reader, name))
        rows = sorted((r["category_id"], r["area"], r["bbox"], r["attributes"] & 2) for r in said["segments"])
        found = ((number[one.label], one.area, list(one.box), 2 * one.is_crowd) for one in image.objects)
        assert sorted(found) == rows
    (tmp_path / "bitmasks").mkdir()
    mask = samples / "bdd100k" / "tests" / "panseg_mask.png"
    (tmp_path / "bitmasks" / "panseg_mask.png").write_bytes(mask.read_bytes())
    image = find_format("bdd100k").reader(tmp_path).read(0)
    real = truth["tests/panseg_mask.png"]["segments"]
    wanted = sorted((r["category_id"], r["area"], r["bbox"]) for r in real)
    assert wanted == sorted((number[one.label], one.area, list(one.box)) for one in image.objects)


def test_v7_raster_layers(samples: Path) -> None:
    said = expected(samples, "v7")
    reader = opened(samples, "v7/own", "v7")
    for name, row in said["own"]["files"].items():
        panoptic = painted(reader.read(position(reader, Path(name).stem)), CLASSES).panoptic
        # the format has no crowds
        assert seen(panoptic) == seen_in(row["panoptic"], crowds=False) and void(panoptic) == row["void"]
    reader = opened(samples, "v7/darwin_py_semantic_mask", "v7")
    (box,) = drawn(reader, 0)
    (row,) = said["darwin_py_semantic_mask/221b-2.json"]["rows"]
    assert box == ("box", row["area"], row["bbox"])


def test_v7_polygons_have_holes_and_boxes_are_filled(tmp_path: Path) -> None:
    outer = [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 9, "y": 9}, {"x": 1, "y": 9}]
    inner = [{"x": 3, "y": 3}, {"x": 5, "y": 3}, {"x": 5, "y": 5}, {"x": 3, "y": 5}]
    box = {"x": 10, "y": 0, "w": 2, "h": 30}
    rows = [
        {"id": "a", "name": "car", "polygon": {"paths": [outer, inner]}, "bounding_box": box},
        {"id": "b", "name": "sign", "bounding_box": box},
        {"id": "c", "name": "tag", "tag": {}},
    ]
    item = {"name": "x.jpg", "path": "/day", "slots": [{"slot_name": "0", "width": 12, "height": 10}]}
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"version": "2.0", "item": item, "annotations": rows}))
    reader = find_format("darwin").reader(file)
    assert list(reader.names) == ["day/x.jpg"]
    image = reader.read(0)
    assert [(one.label, one.area) for one in image.objects] == [("car", 60), ("sign", 20)]
    assert [one.name for one in image.lost] == ["day/x.jpg, annotation 2 (tag)"]
