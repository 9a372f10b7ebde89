"""Data by configuration: scenes whose seeds never meet, data sets by their folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.errors import DataError
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED
from pansight.training.recipes import make_config
from pansight.training.sources import find_split, open_sources


def test_scenes_for_training_validation_and_test_differ() -> None:
    sources = open_sources(make_config({"data": {"size": [32, 48]}, "validation": {"pictures": 3}}))
    assert len({0, VALIDATION_SCENES_SEED, TEST_SCENES_SEED}) == 3
    assert sources.validation is not None
    assert len(sources.validation) == 3
    assert sources.training[0].image.shape == (32, 48, 3)
    assert not np.array_equal(sources.training[0].image, sources.validation[0].image)
    assert sources.categories == sources.training[0].panoptic.categories


def test_early_scenes_are_smaller() -> None:
    data = {"size": [64, 96], "early_size": [32, 48], "early_steps": 2}
    training = open_sources(make_config({"data": data, "batch_size": 3, "accumulate": 2})).training
    assert training[11].image.shape == (32, 48, 3)
    assert training[12].image.shape == (64, 96, 3)


def write_split(folder: Path, annotations: Path, name: str, pictures: int) -> None:
    """A data set of black pictures, each one segment."""
    (folder / name).mkdir(parents=True)
    masks = annotations / f"panoptic_{name}"
    masks.mkdir(parents=True)
    content: dict[str, list[object]] = {
        "categories": [{"id": 7, "name": "all", "isthing": 0, "color": [1, 2, 3], "supercategory": ""}],
        "images": [],
        "annotations": [],
    }
    for i in range(pictures):
        Image.new("RGB", (8, 6)).save(folder / name / f"{i}.jpg")
        Image.new("RGB", (8, 6), (1, 0, 0)).save(masks / f"{i}.png")
        content["images"].append({"id": i, "file_name": f"{i}.jpg", "width": 8, "height": 6})
        segment = {"id": 1, "category_id": 7, "area": 48, "bbox": [0, 0, 8, 6], "iscrowd": 0}
        content["annotations"].append({"image_id": i, "file_name": f"{i}.png", "segments_info": [segment]})
    (annotations / f"panoptic_{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("inside", ["", "annotations"])
def test_data_sets_are_found_by_their_folder(tmp_path: Path, inside: str) -> None:
    write_split(tmp_path, tmp_path / inside, "train2017", 3)
    sources = open_sources(make_config({"data": {"kind": "coco-panoptic", "folder": str(tmp_path)}}))
    assert len(sources.training) == 3
    assert sources.validation is None
    write_split(tmp_path, tmp_path / inside, "val2017", 2)
    sources = open_sources(make_config({"data": {"kind": "coco-panoptic", "folder": str(tmp_path)}}))
    assert sources.validation is not None
    assert len(sources.validation) == 2
    assert sources.training[0].panoptic.segments[0].area == 48
    assert sources.categories.names == ("all",)


def test_data_sets_can_be_named_part_by_part(tmp_path: Path) -> None:
    write_split(tmp_path, tmp_path, "mine", 1)
    data = {"train_json": tmp_path / "panoptic_mine.json", "train_images": tmp_path / "mine"}
    sources = open_sources(make_config({"data": {"kind": "coco-panoptic", **data}}))
    assert len(sources.training) == 1
    assert sources.validation is None


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no panoptic_train\*\.json.*data\.train_json"):
        find_split(tmp_path, "train")
    write_split(tmp_path, tmp_path, "train", 1)
    (tmp_path / "train").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="train does not exist"):
        find_split(tmp_path, "train")
    (tmp_path / "panoptic_train2.json").write_text("{}")
    with pytest.raises(
        DataError, match=r"2 sets to choose from \(panoptic_train\.json, panoptic_train2\.json\)"
    ):
        find_split(tmp_path, "train")
