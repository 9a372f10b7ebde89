import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pansight.categories import Categories, Category
from pansight.errors import CategoryError, DataError, InputError, MissingExtraError
from pansight.formats.conversions import (
    CITYSCAPES_LABEL_IDS,
    from_cityscapes,
    from_coco,
    to_cityscapes,
    to_coco,
    to_detectron2,
    to_huggingface,
    to_supervision,
)
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ids_to_rgb

CITY = Categories.builtin("cityscapes")
COCO = Categories.builtin("coco")
ROAD, SKY, PERSON, CAR = (CITY.index(name) for name in ("road", "sky", "person", "car"))
IDS = np.array([[1, 1, 7, 7], [1, 0, 7, 900000], [0, 0, 900000, 900000]], dtype=np.int32)


def example(categories: Categories = CITY) -> PanopticMap:
    return PanopticMap.from_table(
        IDS, [(7, CAR, 0.5), (1, ROAD, 0.25), (900000, PERSON, 1.0, True)], categories
    )


Table = tuple[np.ndarray, list[tuple[int, int, float | None, bool]]]


@st.composite
def tables(draw: st.DrawFn, is_thing: list[bool], exclusive: bool = False) -> Table:
    """Ids and rows; `exclusive`: no two stuff segments or crowds of a category, which Cityscapes joins."""
    ids = draw(st.lists(st.integers(1, 2**24 - 1), min_size=1, max_size=6, unique=True))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    pixels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([0, *ids])))
    table: list[tuple[int, int, float | None, bool]] = []
    for id in ids:
        category = draw(st.integers(0, len(is_thing) - 1))
        crowd = is_thing[category] and draw(st.booleans())
        joined = crowd or not is_thing[category]
        if exclusive and joined and any(row[1] == category and (row[3] or not crowd) for row in table):
            pixels = np.where(pixels == id, 0, pixels)
            continue
        table.append((id, category, draw(st.none() | st.floats(0, 1)), crowd))
    return pixels, table


@given(tables(COCO.is_thing.tolist()))
def test_coco_round_trip_through_json(drawn: Table) -> None:
    panoptic = PanopticMap.from_table(*drawn, COCO)
    rgb, annotation = to_coco(panoptic, 7, "a.png")
    back = from_coco(rgb, json.loads(json.dumps(annotation)), COCO)
    np.testing.assert_array_equal(back.ids, panoptic.ids)
    assert back.segments == panoptic.segments


def test_coco_annotation_as_the_format_describes_it() -> None:
    rgb, annotation = example().to_coco("street", "street.png")
    np.testing.assert_array_equal(rgb, ids_to_rgb(IDS))
    assert (annotation["image_id"], annotation["file_name"]) == ("street", "street.png")
    assert annotation["segments_info"][0] == {
        "id": 7,
        "category_id": 26,
        "area": 3,
        "bbox": [2, 0, 2, 2],
        "iscrowd": 0,
        "score": 0.5,
    }
    assert [row["iscrowd"] for row in annotation["segments_info"]] == [0, 0, 1]
    bare = PanopticMap.from_table(IDS // IDS.max(), [(1, CAR)], CITY).to_coco(1, "b.png")[1]
    assert "score" not in bare["segments_info"][0]


def test_from_coco_believes_pixels_and_ignores_alpha() -> None:
    rgb, annotation = to_coco(example(), 1, "a.png")
    rgba = np.concatenate([rgb, np.full((3, 4, 1), 255, np.uint8)], axis=2)
    for row in annotation["segments_info"]:
        row.update(area=1, bbox=[0, 0, 0, 0])
        row.pop("iscrowd")
    annotation["segments_info"].append({"id": 77, "category_id": 7})
    back = PanopticMap.from_coco(rgba, annotation, CITY)
    assert [(s.id, s.area, s.box, s.is_crowd) for s in back.segments] == [
        (s.id, s.area, s.box, False) for s in example().segments
    ]


def test_ids_that_the_annotation_does_not_list() -> None:
    rgb, annotation = to_coco(example(), 1, "a.png")
    del annotation["segments_info"][0]
    with pytest.raises(DataError, match=r"annotation of a.png: ids 7 of the map have no segment"):
        from_coco(rgb, annotation, CITY)
    cleaned = from_coco(rgb, annotation, CITY, unlisted="void")
    np.testing.assert_array_equal(cleaned.ids, np.where(IDS == 7, 0, IDS))


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ({"id": 7, "category_id": 27}, DataError, "annotation of a.png: segment id 7 is listed twice"),
        (
            {"id": 8, "category_id": 5},
            CategoryError,
            "annotation of a.png, segment 8: category id 5 is not in city",
        ),
        ({"id": 0, "category_id": 26}, DataError, "lists segment 0; ids start at 1, because 0 is void"),
        ({"id": 8}, DataError, "segment without whole numbers id and category_id"),
        ({"id": None, "category_id": 26}, DataError, "segment without whole numbers"),
        (7, DataError, "segment without whole numbers"),
    ],
)
def test_broken_coco_segments_are_named(row: Any, error: type[Exception], message: str) -> None:
    rgb, annotation = to_coco(example(), 1, "a.png")
    annotation["segments_info"].append(row)
    with pytest.raises(error, match=message) as caught:
        from_coco(rgb, annotation, CITY)
    assert "\n" not in str(caught.value)


def test_broken_coco_pictures_and_annotations_are_named() -> None:
    _, annotation = to_coco(example(), 1, "a.png")
    with pytest.raises(
        DataError, match=r"a.png: a panoptic image must be uint8 .*, not uint8 \[3, 4\]; save"
    ):
        from_coco(np.zeros((3, 4), np.uint8), annotation, CITY)  # as Pillow opens a palette picture
    with pytest.raises(DataError, match='annotation of image 5 has no list "segments_info"'):
        from_coco(np.zeros((3, 4, 3), np.uint8), {"image_id": 5}, CITY)


@given(tables(CITY.is_thing.tolist(), exclusive=True))
def test_cityscapes_round_trip(drawn: Table) -> None:
    panoptic = PanopticMap.from_table(*drawn, CITY)
    ids = to_cityscapes(panoptic)
    labels = np.where(ids < 1000, ids, ids // 1000)
    semantic = panoptic.semantic()
    np.testing.assert_array_equal(labels, np.where(semantic < 0, 0, CITY.dataset_ids[semantic]))
    assert from_cityscapes(ids, CITY).same_as(panoptic)
    assert from_cityscapes(ids.astype(np.uint16), CITY).same_as(panoptic)


def test_cityscapes_ids_of_a_known_map() -> None:
    ids = example().to_cityscapes()
    assert ids.tolist() == [[7, 7, 26000, 26000], [7, 0, 26000, 24], [0, 0, 24, 24]]
    back = PanopticMap.from_cityscapes(ids, CITY)
    assert [(s.id, s.category, s.is_crowd) for s in back.segments] == [
        (7, ROAD, False),
        (24, PERSON, True),
        (26000, CAR, False),
    ]


def test_cityscapes_labels_that_are_not_evaluated_become_void() -> None:
    back = from_cityscapes(np.array([[-1, 4, 29001, 33001, 23]]), CITY)
    assert back.ids.tolist() == [[0, 0, 0, 33001, 23]]


def test_cityscapes_by_train_id() -> None:
    assert CITY.dataset_ids.tolist() == list(CITYSCAPES_LABEL_IDS)
    by_train_id = Categories(
        [Category(c.name, c.is_thing, i, c.color) for i, c in enumerate(CITY)], "cityscapes by trainId"
    )
    with pytest.raises(CategoryError, match=r"label ids 0..18 of cityscapes by trainId do not fit"):
        to_cityscapes(example(by_train_id))
    ids = to_cityscapes(example(by_train_id), CITYSCAPES_LABEL_IDS)
    np.testing.assert_array_equal(ids, to_cityscapes(example()))
    assert from_cityscapes(ids, by_train_id, CITYSCAPES_LABEL_IDS).same_as(example(by_train_id))
    with pytest.raises(CategoryError, match="needs 19 different label ids"):
        to_cityscapes(example(by_train_id), CITYSCAPES_LABEL_IDS[:-1])


def test_cityscapes_has_room_for_a_thousand_objects_of_a_category() -> None:
    ids = np.arange(1, 1002).reshape(1, -1)
    table = [(id, CAR) for id in range(1, 1002)]
    with pytest.raises(InputError, match="more than 1000 objects of 'car'"):
        to_cityscapes(PanopticMap.from_table(ids, table, CITY))
    full = PanopticMap.from_table(ids[:, :1000], table[:1000], CITY)
    assert from_cityscapes(to_cityscapes(full), CITY).same_as(full)


def test_detectron2_pair() -> None:
    ids, rows = example().to_detectron2()
    assert ids.dtype == torch.int32 and ids.tolist() == IDS.tolist()
    assert (
        rows
        == to_detectron2(example())[1]
        == [
            {"id": 7, "isthing": True, "category_id": CAR, "area": 3, "score": 0.5},
            {"id": 1, "isthing": False, "category_id": ROAD, "area": 3, "score": 0.25},
            {"id": 900000, "isthing": True, "category_id": PERSON, "area": 3, "score": 1.0},
        ]
    )
    ids[0, 0] = 5  # a copy: the map stays as it is
    assert example().ids[0, 0] == 1


def test_huggingface_dict() -> None:
    result = example().to_huggingface()
    assert result["segmentation"].dtype == torch.int32 and result["segmentation"].tolist() == IDS.tolist()
    assert (
        result["segments_info"]
        == to_huggingface(example())["segments_info"]
        == [
            {"id": 7, "label_id": CAR, "was_fused": False, "score": 0.5},
            {"id": 1, "label_id": ROAD, "was_fused": True, "score": 0.25},
            {"id": 900000, "label_id": PERSON, "was_fused": False, "score": 1.0},
        ]
    )


def test_supervision_detections() -> None:
    pytest.importorskip("supervision")
    detections = example().to_supervision()
    assert detections.xyxy.tolist() == [[2, 0, 4, 2], [2, 1, 4, 3]]
    assert detections.class_id is not None and detections.class_id.tolist() == [CAR, PERSON]
    assert detections.confidence is not None and detections.confidence.tolist() == [0.5, 1.0]
    np.testing.assert_array_equal(np.asarray(detections.mask), [IDS == 7, IDS == 900000])
    assert {key: np.asarray(value).tolist() for key, value in detections.data.items()} == {
        "class_name": ["car", "person"],
        "segment_id": [7, 900000],
        "iscrowd": [False, True],
    }
    everything = to_supervision(example(), include_stuff=True)
    assert everything.class_id is not None and everything.class_id.tolist() == [CAR, ROAD, PERSON]
    # supervision's own indexing accepts what was made.
    road = everything[everything.class_id == ROAD]
    assert isinstance(road, type(everything)) and list(road.data["class_name"]) == ["road"]


@pytest.mark.parametrize("score", [None, 0.5])
def test_supervision_without_things_or_scores(score: float | None) -> None:
    pytest.importorskip("supervision")
    empty = to_supervision(PanopticMap.from_table(IDS * 0, [], CITY))
    assert len(empty) == 0 and empty.xyxy.shape == (0, 4)
    halves = PanopticMap.from_table(np.array([[1, 2]]), [(1, CAR, score), (2, CAR, None)], CITY)
    assert to_supervision(halves).confidence is None and len(to_supervision(halves)) == 2


def test_supervision_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pansight\[supervision\]'"):
        to_supervision(example())


def test_official_coco_truth_reads_as_its_json_says(shared_data: Path) -> None:
    folder = shared_data / "data" / "coco"
    annotations = json.loads((folder / "panoptic_sample.json").read_text())["annotations"]
    crowds = 0
    for annotation in annotations:
        rgb = np.asarray(Image.open(folder / "panoptic" / annotation["file_name"]))
        panoptic = from_coco(rgb, annotation, COCO)
        written_rgb, written = to_coco(panoptic, annotation["image_id"], annotation["file_name"])
        np.testing.assert_array_equal(written_rgb, rgb)
        assert written == annotation
        crowds += sum(segment.is_crowd for segment in panoptic.segments)
    assert len(annotations) == 4 and crowds > 0


def test_official_cityscapes_files_agree_with_each_other(shared_data: Path) -> None:
    folder = shared_data / "data" / "formats" / "cityscapes" / "gtFine"
    annotations = json.loads((folder / "cityscapes_panoptic_train.json").read_text())["annotations"]
    for annotation in annotations[:2]:
        stem = annotation["file_name"].removesuffix("_panoptic.png")
        official = np.asarray(Image.open(folder / "cityscapes_panoptic_train" / annotation["file_name"]))
        expected = from_coco(official, annotation, CITY)
        instance_ids = np.asarray(
            Image.open(folder / "train" / stem.split("_")[0] / f"{stem}_instanceIds.png")
        )
        panoptic = from_cityscapes(instance_ids, CITY)
        assert panoptic.segments == tuple(sorted(expected.segments, key=lambda s: s.id))
        np.testing.assert_array_equal(panoptic.ids, expected.ids)
        assert from_cityscapes(to_cityscapes(panoptic), CITY).same_as(panoptic)
