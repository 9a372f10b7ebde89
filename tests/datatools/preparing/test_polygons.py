"""Polygons of labelme."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.datatools.preparing.polygons import LabelmePolygons
from pansight.errors import DataError, InputError
from pansight.formats.annotation.labelme import find_labels
from pansight.panoptic import PanopticMap

CIRCLE = 97
"""Pixels of a circle of radius 5, as Pillow draws it with its outline."""

CLASSES = Categories.from_json(
    [
        {"id": 1, "name": "car", "isthing": 1},
        {"id": 2, "name": "person", "isthing": 1},
        {"id": 3, "name": "road", "isthing": 0},
    ],
    name="mine",
)


def rectangle(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """Corners as labelme has them, pixel indices; `right` and `bottom` are one beyond."""
    right, bottom = right - 1, bottom - 1
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def shape(label: Any, points: Any, kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def save(folder: Path, name: str, shapes: list[Any], **more: Any) -> None:
    content = {"version": "5.0.1", "imagePath": f"{name}.jpg", "imageHeight": 20, "imageWidth": 30, **more}
    (folder / f"{name}.json").write_text(json.dumps({**content, "shapes": shapes}))


def named(panoptic: PanopticMap) -> list[tuple[str, int]]:
    return [(panoptic.categories[segment.category].name, segment.area) for segment in panoptic.segments]


def test_later_shapes_are_on_top(tmp_path: Path) -> None:
    shapes = [
        shape("road", rectangle(0, 10, 30, 20)),
        shape("car", rectangle(2, 8, 12, 14)),
        shape("person", rectangle(10, 5, 14, 12)),
    ]
    save(tmp_path, "a", shapes)
    truth = LabelmePolygons(tmp_path, CLASSES).truth(0)
    assert (truth.height, truth.width) == (20, 30)
    assert named(truth) == [("road", 300 - 40 - 4), ("car", 60 - 8), ("person", 28)]
    save(tmp_path, "a", shapes[::-1])
    assert named(LabelmePolygons(tmp_path, CLASSES).truth(0)) == [("person", 16), ("car", 20), ("road", 300)]


def test_a_group_is_one_object_and_stuff_is_always_one(tmp_path: Path) -> None:
    shapes = [
        shape("car", rectangle(0, 0, 4, 4), group_id=1),
        shape("person", rectangle(8, 0, 10, 4), group_id=1),
        shape("car", rectangle(10, 0, 14, 4), group_id=1),
        shape("car", rectangle(20, 0, 22, 4)),
        shape("car", rectangle(23, 0, 25, 4)),
        shape("road", rectangle(0, 10, 2, 12)),
        shape("road", rectangle(8, 10, 10, 12), group_id=5),
    ]
    save(tmp_path, "a", shapes)
    truth = LabelmePolygons(tmp_path, CLASSES).truth(0)
    assert named(truth) == [("car", 32), ("person", 8), ("car", 8), ("car", 8), ("road", 8)]


def test_rectangles_circles_and_pasted_masks(tmp_path: Path) -> None:
    small = np.zeros((4, 6), np.uint8)
    small[1:, 2:] = 1
    buffer = io.BytesIO()
    Image.fromarray(small * 255).save(buffer, "PNG")
    mask = base64.b64encode(buffer.getvalue()).decode()
    shapes = [
        shape("road", [[30, 20], [0, 12]], "rectangle"),
        shape("car", [[8, 6], [13, 6]], "circle"),
        shape("person", [[20, 2], [25, 5]], "mask", mask=mask),
        shape("person", [[27, 18], [32, 21]], "mask", mask=mask),
    ]
    save(tmp_path, "a", shapes)
    truth = LabelmePolygons(tmp_path, CLASSES).truth(0)
    assert named(truth) == [("road", 239), ("car", CIRCLE), ("person", 12), ("person", 1)]
    assert abs(CIRCLE - math.pi * 5.5**2) < 3  # the rim belongs to it
    assert truth.segments[2].box == (22, 3, 4, 3)
    assert truth.segments[1].box == (3, 1, 11, 11)


def test_background_makes_void_and_flags_make_crowds(tmp_path: Path) -> None:
    shapes = [
        shape("road", rectangle(0, 0, 30, 20), flags={"crowd": True}),
        shape("person", rectangle(0, 0, 4, 4), flags={"iscrowd": True}),
        shape("__ignore__", rectangle(0, 0, 2, 4)),
    ]
    save(tmp_path, "a", shapes)
    truth = LabelmePolygons(tmp_path, CLASSES).truth(0)
    assert named(truth) == [("road", 584), ("person", 8)]
    assert [segment.is_crowd for segment in truth.segments] == [False, True]


def test_names_and_sizes_come_from_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    save(tmp_path, "z", [], imagePath="..\\pictures\\other.png")
    save(tmp_path / "b", "y", [], imageHeight=None, imageWidth=None)
    Image.new("RGB", (9, 7)).save(tmp_path / "b" / "y.jpg")
    data = LabelmePolygons(tmp_path, CLASSES)
    assert data.names == ["b/y.jpg", "other.png"]
    assert list(data.image_ids) == [1, 2] and len(data) == 2
    assert data.truth(0).ids.shape == (7, 9)


def test_labels_are_found(tmp_path: Path) -> None:
    save(tmp_path, "a", [shape("road", []), shape("_background_", []), {"label": 3}, 5])
    save(tmp_path, "b", [shape("car", [])])
    (tmp_path / "c.json").write_text("{")
    assert find_labels(tmp_path) == ["car", "road"]


def test_files_can_be_skipped(tmp_path: Path) -> None:
    save(tmp_path, "a", [])
    (tmp_path / "panoptic.json").write_text("{}")
    assert len(LabelmePolygons(tmp_path, CLASSES, [tmp_path / "panoptic.json"])) == 1
    with pytest.raises(InputError, match="no JSON files"):
        LabelmePolygons(tmp_path, CLASSES, [tmp_path / "panoptic.json", tmp_path / "a.json"])
    with pytest.raises(InputError, match="no such folder"):
        LabelmePolygons(tmp_path / "none", CLASSES)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (shape("cart", rectangle(0, 0, 2, 2)), "shape 0: no category 'cart' in mine; did you mean 'car'"),
        (shape(None, rectangle(0, 0, 1, 1)), "shape 0 has no label"),
        (5, "shape 0 has no label"),
        (shape("car", [[0, 0], [1, 1]]), "a polygon of 2 points, 3 are needed"),
        (shape("car", None), "no list of points"),
        (shape("car", [[0, 0], [1, float("nan")], [2, 2]]), "no list of points"),
        (shape("car", [[0, 0], [1, 1e12], [2, 2]]), "has corners that are not numbers, or lie far out"),
        (shape("car", [[0, 0], [5, 5]], "ellipse"), "has the shape_type 'ellipse', which labelme does not"),
        ({**shape("car", [[0, 0], [5, 5]]), "shape_type": ["line"]}, "has the shape_type"),
        (shape("car", [[0, 0], [5, 5]], "mask"), "a mask whose image cannot be read"),
        (shape("car", [[0, 0], [5, 5]], "mask", mask="AAAA"), "a mask whose image cannot be read"),
    ],
)
def test_a_broken_shape_is_told_by_file_and_number(tmp_path: Path, broken: Any, fault: str) -> None:
    save(tmp_path, "a", [broken])
    with pytest.raises(DataError, match=r"a\.json[:,] .*" + fault.removeprefix("shape 0: ")):
        LabelmePolygons(tmp_path, CLASSES).truth(0)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "no JSON file"),
        ("[]", 'no list "shapes"'),
        (
            '{"shapes": [], "imageHeight": 1000000000000, "imageWidth": 2}',
            "says that its image is 2 x 1000000000000 pixels",
        ),
        ('{"shapes": []}', "says no imageHeight and imageWidth"),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=rf"a\.json: {fault}"):
        LabelmePolygons(tmp_path, CLASSES).truth(0)
