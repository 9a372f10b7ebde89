"""Truth in the forms of other tools."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.datatools.preparing.coco_merge import CocoMerge
from pansight.datatools.preparing.exporting import Export, Form, cityscapes_pictures, semantic_picture
from pansight.errors import CategoryError
from pansight.formats.coco_masks import decode_segmentation
from pansight.panoptic import PanopticMap

Source = Callable[..., Any]


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


def test_semantic_maps_hold_contiguous_classes(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(2)
    export = Export(source, tmp_path, Form.SEMANTIC)
    assert [outcome.problem for outcome in export.start()] == [None, None]
    assert export.save() == tmp_path
    values = pixels(tmp_path / "p1.png")
    assert values.dtype == np.uint8 and values[0, 0] == 255
    assert np.array_equal(np.where(values == 255, -1, values.astype(int)), source.truth(1).semantic())
    rows = [{**row, "value": value} for value, row in enumerate(source.categories.to_json())]
    assert json.loads((tmp_path / "classes.json").read_text()) == rows


def test_many_classes_take_16_bits() -> None:
    rows = [{"id": id, "name": f"c{id}", "isthing": 0, "color": [0, 0, 0]} for id in range(1, 300)]
    ids = np.array([[0, 1]], np.int32)
    values = semantic_picture(PanopticMap.from_table(ids, [(1, 280)], Categories.from_json(rows)))
    assert values.dtype == np.uint16
    assert values.tolist() == [[65535, 280]]


def test_instances_can_be_merged_again(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(3, broken=(1,))
    export = Export(source, tmp_path, Form.INSTANCES, workers=2)
    assert [outcome.problem for outcome in export.start()] == [None, "p1.png: broken", None]
    content = json.loads(export.save().read_text())
    assert [image["file_name"] for image in content["images"]] == ["p0.jpg", "p2.jpg"]
    assert [row["id"] for row in content["annotations"]] == list(range(1, 7))
    assert [row["name"] for row in content["categories"]] == ["car", "person"]
    crowd = content["annotations"][2]
    assert (crowd["iscrowd"], crowd["area"], crowd["bbox"]) == (1, 30, [20, 15, 10, 3])
    assert np.array_equal(decode_segmentation(crowd["segmentation"], 20, 30), source.truth(0).mask(12))
    merged = CocoMerge(tmp_path / "instances.json").truth(1)
    assert np.array_equal(merged.ids > 0, np.isin(source.truth(2).ids, [300, 70000, 12]))


def test_cityscapes_needs_label_ids(tmp_path: Path, make_truths: Source) -> None:
    source = make_truths(1)
    source.categories = Categories.from_json([{"id": 92, "name": "sky", "isthing": 0}])
    with pytest.raises(CategoryError, match=r"not Cityscapes labelIds \(1\.\.64\)"):
        Export(source, tmp_path, Form.CITYSCAPES)


def test_objects_are_numbered_where_their_ids_are_others(tmp_path: Path, make_truths: Source) -> None:
    export = Export(make_truths(1), tmp_path, Form.CITYSCAPES)
    assert [outcome.problem for outcome in export.start()] == [None]
    instance_ids, label_ids = (
        pixels(tmp_path / f"p0_gtFine_{kind}Ids.png") for kind in ("instance", "label")
    )
    assert instance_ids.dtype == np.uint16 and label_ids.dtype == np.uint8
    assert sorted(set(instance_ids.ravel().tolist())) == [0, 5, 9, 3000, 5000]
    assert np.array_equal(np.where(instance_ids > 999, instance_ids // 1000, instance_ids), label_ids)


def test_cityscapes_labels_come_back_as_they_were(shared_data: Path) -> None:
    folder = shared_data / "data" / "formats" / "cityscapes" / "gtFine" / "val" / "frankfurt"
    original = pixels(folder / "frankfurt_000000_001236_gtFine_instanceIds.png").astype(np.int32)
    truth = PanopticMap.from_cityscapes(original, Categories.builtin("cityscapes"))
    instance_ids, label_ids = cityscapes_pictures(truth)
    assert np.array_equal(instance_ids, np.where(truth.ids, original, 0))
    official = pixels(folder / "frankfurt_000000_001236_gtFine_labelIds.png")
    assert np.array_equal(label_ids, np.where(truth.ids, official, 0))
