"""COCO instances and stuff to one truth."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.datatools.preparing.coco_merge import CocoMerge
from pansight.datatools.preparing.exporting import Export, Form
from pansight.errors import CategoryError, DataError, DataProblemsError
from pansight.formats.coco_masks import encode_mask
from pansight.panoptic import PanopticMap


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def instances(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 10, "width": 12}],
        "annotations": [{"id": number, "image_id": 7, **row} for number, row in enumerate(rows)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
        **more,
    }
    path = folder / "instances_val.json"
    path.write_text(json.dumps(content))
    return path


def stuff(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 10, "width": 12}],
        "annotations": [{"id": number, "image_id": 7, **row} for number, row in enumerate(rows)],
        "categories": [{"id": 92, "name": "sky"}, {"id": 93, "name": "road"}, {"id": 183, "name": "other"}],
        **more,
    }
    path = folder / "stuff_val.json"
    path.write_text(json.dumps(content))
    return path


def named(panoptic: PanopticMap) -> list[tuple[str, int, bool]]:
    return [(panoptic.categories[s.category].name, s.area, s.is_crowd) for s in panoptic.segments]


def test_the_smaller_one_is_on_top_and_crowds_below(tmp_path: Path) -> None:
    path = instances(
        tmp_path,
        [
            {"category_id": 2, "segmentation": box(4, 4, 6, 6)},
            {"category_id": 1, "segmentation": box(0, 0, 8, 8)},
            {"category_id": 2, "segmentation": box(7, 0, 8, 8), "iscrowd": 1},
        ],
    )
    truth = CocoMerge(path).truth(0)
    assert named(truth) == [("car", 60, False), ("person", 4, False)]
    assert truth.ids[5, 5] != truth.ids[0, 0] == truth.ids[0, 7] != 0
    assert not truth.ids[9, 9]


def test_of_two_alike_the_later_is_on_top(tmp_path: Path) -> None:
    rows = [{"category_id": n, "segmentation": box(2 * n, 0, 2 * n + 4, 4)} for n in (1, 2)]
    truth = CocoMerge(instances(tmp_path, rows)).truth(0)
    assert named(truth) == [("car", 8, False), ("person", 16, False)]


def test_with_scores_the_higher_one_is_on_top(tmp_path: Path) -> None:
    rows = [
        {"category_id": 1, "segmentation": box(0, 0, 8, 8), "score": 0.9},
        {"category_id": 2, "segmentation": box(4, 4, 9, 6), "score": 0.3},
    ]
    truth = CocoMerge(instances(tmp_path, rows)).truth(0)
    assert named(truth) == [("person", 2, False), ("car", 64, False)]
    assert [segment.score for segment in truth.segments] == [0.3, 0.9]


def test_things_hide_stuff_and_parts_of_stuff_are_one(tmp_path: Path) -> None:
    things = instances(tmp_path, [{"category_id": 1, "segmentation": box(0, 0, 4, 10)}])
    rows = [
        {"category_id": 92, "segmentation": box(2, 0, 6, 2)},
        {"category_id": 92, "segmentation": box(8, 0, 10, 2), "iscrowd": 1},
        {"category_id": 183, "segmentation": box(0, 5, 5, 10)},
        {"category_id": 93, "segmentation": box(0, 0, 3, 10)},
    ]
    data = CocoMerge(things, stuff(tmp_path, rows))
    assert data.categories.names == ("car", "person", "sky", "road")
    assert data.categories.dataset_ids.tolist() == [1, 2, 92, 93]
    truth = data.truth(0)
    assert named(truth) == [("sky", 8, False), ("car", 40, False)]
    assert not truth.ids[9, 4]  # "other" that no thing covers is void


def test_ids_of_stuff_that_are_taken_are_numbered_on(tmp_path: Path) -> None:
    more = {"categories": [{"id": 1, "name": "sky"}, {"id": 9, "name": "road"}]}
    data = CocoMerge(instances(tmp_path, []), stuff(tmp_path, [], **more))
    assert data.categories.dataset_ids.tolist() == [1, 2, 10, 9]
    assert not data.truth(0).segments


def test_given_categories_are_matched_by_name(tmp_path: Path) -> None:
    spoken = Categories.from_json(
        [
            {"id": 50, "name": "sky", "isthing": 0},
            {"id": 60, "name": "person", "isthing": 1},
            {"id": 70, "name": "car", "isthing": 1},
            {"id": 80, "name": "road", "isthing": 0},
        ]
    )
    things = instances(tmp_path, [{"category_id": 1, "segmentation": box(0, 0, 4, 10)}])
    data = CocoMerge(things, stuff(tmp_path, []), spoken)
    assert named(data.truth(0)) == [("car", 40, False)]
    assert data.categories is spoken


@pytest.mark.parametrize("offset", [0, 1])
def test_label_maps_give_stuff(tmp_path: Path, offset: int) -> None:
    spoken = Categories.from_json(
        [{"id": 1, "name": "car", "isthing": 1}, {"id": 2, "name": "person", "isthing": 1},
         {"id": 92, "name": "sky", "isthing": 0}, {"id": 93, "name": "road", "isthing": 0}]
    )  # fmt: skip
    maps = tmp_path / "maps"
    maps.mkdir()
    values = np.full((10, 12), 92 - offset, np.uint8)
    values[5:] = 93 - offset
    values[0, 0], values[0, 1], values[0, 2] = 255, 183 - offset, 2 - offset
    Image.fromarray(values).save(maps / "a.png")
    things = instances(tmp_path, [{"category_id": 1, "segmentation": box(0, 5, 12, 9)}])
    data = CocoMerge(things, maps, spoken, stuff_offset=offset)
    assert named(data.truth(0)) == [("sky", 57, False), ("road", 12, False), ("car", 48, False)]
    values[7, 7] = 99
    Image.fromarray(values).save(maps / "a.png")
    with pytest.raises(DataError, match=r"a\.png: the values 99 are not categories of"):
        data.truth(0)
    Image.fromarray(values[:5]).save(maps / "a.png")
    with pytest.raises(DataError, match="the map is 12 x 5 pixels, its image 12 x 10"):
        data.truth(0)
    Image.new("RGB", (12, 10)).save(maps / "a.png")
    with pytest.raises(DataError, match="no map of labels"):
        data.truth(0)
    (maps / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read"):
        data.truth(0)
    (maps / "a.png").unlink()
    with pytest.raises(DataError, match="no such file; every image needs its label map"):
        data.truth(0)
    with pytest.raises(DataError, match="do not say what their values mean"):
        CocoMerge(things, maps)


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    data = CocoMerge(instances(tmp_path, [{"category_id": 1, "segmentation": box(0, 0, 4, 10)}]))
    assert pickle.loads(pickle.dumps(data)).truth(0).same_as(data.truth(0))


def test_everything_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    spoken = Categories.from_json(
        [{"id": 1, "name": "car", "isthing": 0}, {"id": 2, "name": "persons", "isthing": 1}], name="mine"
    )
    path = instances(
        tmp_path,
        [{"category_id": 1, "image_id": 8}],
        images=[
            {"id": 7, "file_name": "a.jpg", "height": 10},
            {"id": 9, "file_name": "b", "height": 1, "width": 1},
            {"id": [9], "file_name": "c", "height": 1, "width": 1},
            {"id": 10, "file_name": "d", "height": float("inf"), "width": 1},
            {"id": 11, "file_name": "e", "height": -1, "width": 1},
            {"id": 12, "file_name": "f", "height": 10**12, "width": 10**12},
        ],
    )
    with pytest.raises(DataProblemsError) as caught:
        CocoMerge(path, None, spoken)
    text = "\n".join(caught.value.problems)
    for position in (0, 2, 3):
        assert f"image {position} needs id, file_name, height and width" in text
    assert "image 4 is 1 x -1 pixels, which none can be" in text
    assert "image 5 is 1000000000000 x 1000000000000 pixels, which none can be" in text
    assert "annotation 0 has image_id 8, which is not listed" in text
    assert "no category 'person' in mine; did you mean 'persons'?" in text
    assert len(caught.value.problems) == 7


def test_a_class_that_is_both_is_refused(tmp_path: Path) -> None:
    more = {"categories": [{"id": 5, "name": "car"}]}
    with pytest.raises(CategoryError, match=r"'car' is a thing in .* and stuff here"):
        CocoMerge(instances(tmp_path, []), stuff(tmp_path, [], **more))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            {"category_id": 5, "segmentation": []},
            "annotation 0 has category_id 5, which the file does not list",
        ),
        (
            {"category_id": 1, "segmentation": [[1, 2, 3]]},
            "annotation 0 has a segmentation with a polygon that is",
        ),
        ({"category_id": 1, "segmentation": 5}, "annotation 0 has a segmentation that is neither"),
        ({"category_id": 1, "segmentation": [1, 2, 3, 4]}, "that is a flat list of numbers"),
    ],
)
def test_a_broken_annotation_spoils_its_picture(tmp_path: Path, row: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        CocoMerge(instances(tmp_path, [row])).truth(0)


def test_real_truth_taken_apart_and_merged_is_the_same(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data" / "coco"
    data = CocoPanoptic(folder / "panoptic_sample.json", folder / "images", folder / "panoptic")
    content: dict[str, Any] = {kind: {"images": [], "annotations": []} for kind in ("thing", "stuff")}
    for index in range(len(data)):
        truth = data.truth(index)
        for kind in content:
            content[kind]["images"].append(
                {"id": index, "file_name": f"{index}.jpg", "height": truth.height, "width": truth.width}
            )
        for segment in truth.segments:
            category = data.categories[segment.category]
            content["thing" if category.is_thing else "stuff"]["annotations"].append(
                {
                    "image_id": index,
                    "category_id": category.dataset_id,
                    "segmentation": encode_mask(truth.mask(segment.id)),
                    "iscrowd": int(segment.is_crowd),
                }
            )
    for kind in content:
        wanted = kind == "thing"
        content[kind]["categories"] = [
            {"id": item.dataset_id, "name": item.name} for item in data.categories if item.is_thing == wanted
        ]
        (tmp_path / f"{kind}.json").write_text(json.dumps(content[kind]))
    merged = CocoMerge(tmp_path / "thing.json", tmp_path / "stuff.json", data.categories)
    for index in range(len(data)):
        assert merged.truth(index).same_as(data.truth(index))


def test_real_label_maps_give_the_published_truth(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data" / "formats" / "coco_stuff_SPADE"
    published = CocoPanoptic(folder / "panoptic_val.json", folder / "val_img")
    export = Export(published, tmp_path, Form.INSTANCES)
    assert not [outcome.problem for outcome in export.start() if outcome.problem]
    merged = CocoMerge(export.save(), folder / "val_label", published.categories, stuff_offset=1)
    same = 0
    for index in range(len(merged)):
        made = merged.truth(index)
        truth = published.truth(list(published.image_ids).index(merged.image_ids[index]))
        same += made.same_as(truth)
        # One published map leaves out a segment of 11 pixels.
        assert np.count_nonzero(made.semantic() != truth.semantic()) <= 11
    assert (same, len(merged)) == (7, 8)
