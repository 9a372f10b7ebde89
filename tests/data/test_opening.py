"""Data sets are opened by what lies in their folder; what is unclear is asked, what is missing is named."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.opening import (
    KINDS,
    PanopticDataset,
    choose_split,
    dataset_splits,
    has_split,
    open_dataset,
)
from pansight.errors import DataError, DataProblemsError, InputError
from pansight.metrics import PanopticQuality
from pansight.scenes import HELD_OUT_SCENES, SceneDataset

ROWS = [{"id": 7, "name": "road", "isthing": 0}, {"id": 26, "name": "car", "isthing": 1}]


def perfect(quality: PanopticQuality) -> bool:
    """Whether the truth scored against itself has PQ 1."""
    result = quality.compute().all
    return result is not None and result.pq == 1.0


def write_coco(
    root: Path,
    split: str = "val2017",
    *,
    annotations: str = "annotations",
    images: str | None = None,
    count: int = 2,
) -> Path:
    """A split of COCO; gives its JSON. Picture k is gray k + 1, left half road, right half car."""
    table, pictures = (
        root / annotations / f"panoptic_{split}.json",
        root / (split if images is None else images),
    )
    masks = table.with_suffix("")
    masks.mkdir(parents=True)
    pictures.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": ROWS}
    for number in range(count):
        Image.new("RGB", (4, 2), (number + 1,) * 3).save(pictures / f"{number}.png")
        ids = np.zeros((2, 4, 3), np.uint8)
        ids[:, :2, 1], ids[:, 2:, 0] = 3, 5
        Image.fromarray(ids).save(masks / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.jpg"})
        segments = [{"id": 768, "category_id": 7}, {"id": 5, "category_id": 26}]
        content["annotations"].append(
            {"image_id": number, "file_name": f"{number}.png", "segments_info": segments}
        )
    table.write_text(json.dumps(content))
    return table


def check(data: PanopticDataset, count: int = 2) -> None:
    """That these are the samples of `write_coco`."""
    assert isinstance(data, PanopticDataset)
    assert len(data) == len(data.names) == len(data.image_ids) == count
    for number in range(count):
        sample = data[number]
        assert (sample.image == number + 1).all()
        assert [(s.id, s.area) for s in sample.panoptic.segments] == [(768, 4), (5, 4)]
        assert sample.panoptic.same_as(data.truth(number))
        assert (sample.file_name, sample.image_id) == (data.names[number], data.image_ids[number])


@pytest.mark.parametrize("annotations", ["", "annotations"])
@pytest.mark.parametrize(
    "images", ["val2017", "images/val2017", "val", "images/val", "images", "val2017_img", ""]
)
def test_layouts_of_coco(tmp_path: Path, annotations: str, images: str) -> None:
    table = write_coco(tmp_path, annotations=annotations, images=images)
    check(open_dataset(tmp_path))
    check(open_dataset(tmp_path, split="val", kind="coco"))
    check(open_dataset(table))
    check(open_dataset(str(table), images=str(tmp_path / images), panoptic=table.with_suffix("")))


def test_archives_are_read_in_place(tmp_path: Path) -> None:
    table = write_coco(tmp_path)
    for folder in (tmp_path / "val2017", table.with_suffix("")):
        # as COCO packs them: with the folder in the archive
        shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
    data = open_dataset(tmp_path)
    check(data)
    check(pickle.loads(pickle.dumps(data)))
    (tmp_path / "val2017.zip").rename(tmp_path / "pictures.zip")
    check(open_dataset(tmp_path, images=tmp_path / "pictures.zip"))
    check(open_dataset(tmp_path, images=tmp_path / "pictures.zip" / "val2017"))
    masks = table.with_suffix(".zip")
    masks.rename(tmp_path / "masks.zip")
    check(open_dataset(table, images=tmp_path / "pictures.zip", panoptic=tmp_path / "masks.zip"))
    (tmp_path / "masks.zip").write_bytes((tmp_path / "masks.zip").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"masks\.zip: cannot be read as a zip archive"):
        open_dataset(table, panoptic=tmp_path / "masks.zip")


def test_pictures_of_all_splits_in_one_place(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        write_coco(tmp_path / "labels", split)
        (tmp_path / "labels" / split).rename(tmp_path / split)
        check(open_dataset(tmp_path / "labels", split=split, images=tmp_path))
    shutil.make_archive(str(tmp_path / "both"), "zip", tmp_path, "val2017")
    check(open_dataset(tmp_path / "labels", images=tmp_path / "both.zip"))


def test_splits_are_chosen_by_a_word(tmp_path: Path) -> None:
    write_coco(tmp_path, "train2017", count=3)
    check(open_dataset(tmp_path), 3)
    write_coco(tmp_path, "val2017")
    assert dataset_splits(tmp_path) == ("train2017", "val2017")
    check(open_dataset(tmp_path))
    check(open_dataset(tmp_path, split="train"), 3)
    assert has_split(tmp_path, "val") and not has_split(tmp_path, "test")
    with pytest.raises(DataError, match=r"\(coco\): has the splits train2017, val2017; choose one of them"):
        open_dataset(tmp_path, split="test")
    write_coco(tmp_path, "val2014")
    with pytest.raises(
        DataError, match=r"has the splits train2017, val2014, val2017; say which with --split"
    ):
        open_dataset(tmp_path)
    names = ("training", "validation", "val")
    assert [choose_split(names, word, "x") for word in ("train", "val", "validation", None)] == [
        "training", "val", "validation", "val",
    ]  # fmt: skip


def test_labels_without_pictures(tmp_path: Path) -> None:
    table = write_coco(tmp_path)
    shutil.rmtree(tmp_path / "val2017")
    data = open_dataset(table)
    assert len(data.truth(0).segments) == 2
    with pytest.raises(DataError, match=r"0\.jpg: the folder of the images of .* is unknown; give it"):
        data[0]
    with pytest.raises(DataError, match="nowhere: no such folder"):
        open_dataset(table, images=tmp_path / "nowhere")
    (tmp_path / "val2017").mkdir()
    with pytest.raises(DataError, match=r"val2017/0\.jpg: no such file; check the folder of the images"):
        open_dataset(table, images=tmp_path / "val2017")[0]


def test_what_cannot_be_opened_says_what_could(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing: no such file or folder"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no known data set in it; known are coco \(panoptic_"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"called 'city'; choose from coco, cityscapes, .*, scenes"):
        open_dataset(tmp_path, kind="city")
    for kind in KINDS:
        with pytest.raises(DataError, match=f"no data set of the kind {kind} in it, which has "):
            open_dataset(tmp_path, kind=kind)
    table = write_coco(tmp_path)
    with pytest.raises(DataError, match="for ade20k, give the folder of the data set"):
        open_dataset(table, kind="ade20k")
    labels = tmp_path / "gtFine" / "val" / "rome"
    labels.mkdir(parents=True)
    Image.fromarray(np.full((2, 4), 7, np.uint16)).save(labels / "rome_1_2_gtFine_instanceIds.png")
    with pytest.raises(DataError, match="could be coco or cityscapes; choose one with --kind"):
        open_dataset(tmp_path)
    check(open_dataset(tmp_path, kind="coco"))
    assert len(open_dataset(tmp_path, kind="cityscapes")) == 1


def test_other_categories(tmp_path: Path) -> None:
    table = write_coco(tmp_path)
    data = open_dataset(tmp_path, categories=Categories.builtin("cityscapes"))
    assert {data.categories.names[s.category] for s in data.truth(0).segments} == {"road", "car"}
    content = json.loads(table.read_text())
    content["categories"] = [{**ROWS[0], "name": "rode"}, {**ROWS[1], "name": "cra"}]
    table.write_text(json.dumps(content))
    with pytest.raises(DataProblemsError) as caught:
        open_dataset(tmp_path, categories=Categories.builtin("cityscapes"))
    assert caught.value.problems == [
        f"{table}: no category 'rode' in cityscapes; did you mean 'road'?",
        f"{table}: no category 'cra' in cityscapes; did you mean 'car'?",
    ]


def test_scenes() -> None:
    data = open_dataset("scenes")
    assert isinstance(data, SceneDataset) and isinstance(data, PanopticDataset)
    assert (data.seed, len(data)) == HELD_OUT_SCENES["test"]
    sample = data[3]
    assert (data.names[3], data.image_ids[3]) == (sample.file_name, sample.image_id)
    assert data.truth(3).same_as(sample.panoptic)
    assert len(data.names) == 300 and data.names[-1] == "scene-1000002-000299.png"
    assert open_dataset("scenes", split="val").names[0].startswith("scene-1000001-")
    with pytest.raises(DataError, match="scenes: has the splits val, test; choose one of them"):
        open_dataset("scenes", split="train")
    with pytest.raises(InputError, match="leave out these options"):
        open_dataset("scenes", images="x")


@pytest.mark.parametrize(
    ("folder", "options", "images", "has_pictures"),
    [
        ("camvid", {}, 101, True),
        ("camvid", {"split": "train"}, 367, True),
        ("coco", {"split": "sample"}, 4, True),
        ("coco", {"split": "examples"}, 2, True),
        ("formats/coco_panoptic_mseg", {"categories": "coco"}, 1, False),
        ("formats/coco_panoptic_mseg", {"categories": "coco", "split": "train"}, 1, False),
        ("formats/coco_panoptic_mseg", {"categories": "coco", "images": "coco/images"}, 1, True),
        ("formats/coco_stuff_SPADE", {}, 8, True),
        ("formats/coco_stuff_SPADE", {"split": "train"}, 13, True),
        ("formats/ade20k_full_2021_panoptic", {}, 3, True),
        ("formats/deeplab2_pq_testdata/data/testdata", {}, 1, True),
        ("formats/tiny_layouts/coco_dataset/coco", {}, 1, True),
        ("formats/tiny_layouts/coco_dataset/coco_panoptic", {}, 1, True),
        # its picture is not of the size of its labels
        ("formats/tiny_layouts/coco_dataset/coco_panoptic", {"split": "train"}, 1, False),
        ("formats/tiny_layouts/ade20k2017_dataset/dataset", {}, 1, True),
        ("formats/tiny_layouts/ade20k2020_dataset/dataset", {"split": "train"}, 1, True),
    ],
)
def test_shared_sets_score_one_against_themselves(
    shared_data: Path, folder: str, options: dict[str, str], images: int, has_pictures: bool
) -> None:
    root = shared_data / "data"
    spoken = Categories.builtin(options["categories"]) if "categories" in options else None
    images_folder = root / options["images"] if "images" in options else None
    data = open_dataset(root / folder, split=options.get("split"), categories=spoken, images=images_folder)
    assert len(data) == images
    quality = PanopticQuality(data.categories)
    segments = 0
    for index in range(min(images, 3)):
        truth = data.truth(index)
        segments += len(truth.segments)
        quality.update(truth, truth)
    # in the dummies of ADE20K's first release no number is that of a class
    assert segments == 0 if "ade20k2017" in folder else perfect(quality)
    if has_pictures:
        assert data[0].image.shape == (*data.truth(0).ids.shape, 3)
    else:
        with pytest.raises(DataError):
            data[0]


@pytest.mark.parametrize(("within", "table"), [(".", "annotations/panoptic_val2017.json"),
                                              ("annotations", "panoptic_val2017.json")])  # fmt: skip
def test_a_json_can_be_named_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: str, table: str
) -> None:
    write_coco(tmp_path)
    monkeypatch.chdir(tmp_path / within)
    check(open_dataset(table))


def test_id_pictures_may_lie_beside_the_folder_of_the_json(tmp_path: Path) -> None:
    table = write_coco(tmp_path)
    table.with_suffix("").rename(tmp_path / "panoptic_val2017")
    check(open_dataset(table))


def test_the_splits_of_scenes_and_of_unknown_kinds(tmp_path: Path) -> None:
    assert dataset_splits("scenes") == tuple(HELD_OUT_SCENES)
    with pytest.raises(DataError, match="no kind of data set is called 'nonsense'; choose from coco,"):
        dataset_splits(tmp_path, kind="nonsense")


def test_a_folder_of_predictions_is_a_data_set(tmp_path: Path) -> None:
    """What `pansight predict --format coco` leaves, of images or of videos."""
    table = write_coco(tmp_path, annotations=".", images="val2017")
    (tmp_path / "predictions").mkdir()
    for file in table.with_suffix("").iterdir():
        shutil.move(file, tmp_path / "predictions" / file.name)
    table.rename(tmp_path / "predictions.json")
    assert dataset_splits(tmp_path) == ("predictions",)
    data = open_dataset(tmp_path)
    assert len(data) == 2 and len(data.truth(0).segments) == 2
    # what is there beside it counts more
    write_coco(tmp_path, "val", annotations="annotations")
    assert dataset_splits(tmp_path) == ("val",)
    assert dataset_splits(tmp_path, kind="predictions") == ("predictions",)
