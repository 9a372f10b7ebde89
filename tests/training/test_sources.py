"""Data by configuration: scenes whose seeds never meet, data sets by their folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.errors import CategoryError, DataError
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED
from pansight.training.recipes import make_config, read_recipe, with_options
from pansight.training.sources import open_sources


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


def test_the_only_split_is_trained_on_and_its_images_are_where_it_says(tmp_path: Path) -> None:
    """What `pansight data convert labels/ data/` leaves is enough."""
    images, data = tmp_path / "labels", tmp_path / "data"
    write_split(images, data, "mine", 20)
    table = data / "panoptic_mine.json"
    content = json.loads(table.read_text())
    (images / "mine").rename(tmp_path / "pictures")
    table.write_text(json.dumps({**content, "info": {"images_folder": "../pictures"}}))
    section = {"kind": "dataset", "folder": str(data), "held_out": 0.2}
    sources = open_sources(make_config({"data": section}))
    assert sources.validation is not None
    assert len(sources.training) + len(sources.validation) == 20
    assert sources.training[0].image.shape[2] == 3
    with pytest.raises(DataError, match="has the splits mine"):
        open_sources(make_config({"data": {**section, "train_split": "yours"}}))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    def refused(**data: object) -> str:
        with pytest.raises(DataError) as caught:
            open_sources(make_config({"data": {"kind": "dataset", "folder": str(tmp_path), **data}}))
        return str(caught.value)

    assert "no known data set in it" in refused()
    write_split(tmp_path, tmp_path, "val", 1)
    assert "has the splits val" in refused()
    write_split(tmp_path, tmp_path, "train", 1)
    assert "no data set of the kind cityscapes" in refused(layout="cityscapes")
    (tmp_path / "train").rename(tmp_path / "elsewhere")
    assert "give it (--images)" in refused()
    assert "elsewhere2: no such folder" in refused(images=str(tmp_path / "elsewhere2"))
    (tmp_path / "elsewhere").rename(tmp_path / "train")
    data = {"kind": "dataset", "folder": str(tmp_path), "validation_split": "none"}
    assert open_sources(make_config({"data": data})).validation is None


def write_cityscapes(root: Path) -> None:
    """Two tiny splits as published: a road and a car."""
    for split in ("train", "val"):
        labels, pictures = root / "gtFine" / split / "rome", root / "leftImg8bit" / split / "rome"
        labels.mkdir(parents=True)
        pictures.mkdir(parents=True)
        values = np.array([[7, 7, 26001], [7, 7, 26001]], dtype=np.uint16)
        Image.fromarray(values).save(labels / "rome_000000_000001_gtFine_instanceIds.png")
        Image.new("RGB", (3, 2)).save(pictures / "rome_000000_000001_leftImg8bit.png")


def test_data_as_published_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    recipe = with_options(read_recipe("yoso-r50-cityscapes"), [f"data.folder={tmp_path}"])
    sources = open_sources(make_config(recipe))
    assert sources.categories == Categories.builtin("cityscapes")
    assert sources.validation is not None
    for samples in (sources.training, sources.validation):
        names = [sources.categories.names[segment.category] for segment in samples[0].panoptic.segments]
        assert names == ["road", "car"]


def test_classes_are_found_by_name_in_a_set_from_a_file(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    rows = [
        {"id": 5 + i, "name": c.name.upper(), "isthing": int(c.is_thing)}
        for i, c in enumerate(Categories.builtin("cityscapes"))
    ]
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    data = {"kind": "dataset", "folder": str(tmp_path), "categories": str(tmp_path / "mine.json")}
    sources = open_sources(make_config({"data": data}))
    assert sources.categories.names[sources.training[0].panoptic.segments[1].category] == "CAR"
    with pytest.raises(CategoryError, match="neither a built-in category set"):
        open_sources(make_config({"data": {**data, "categories": "cityscape"}}))


def test_a_data_set_in_place_of_a_mixtures_folder_is_told_apart(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    recipe = with_options(read_recipe("photo"), [f"data.folder={tmp_path}"])
    with pytest.raises(DataError, match=r"has none of the mixture's sets \(facade, .* or --model"):
        open_sources(make_config(recipe))
    recipe = with_options(read_recipe("photo"), [f"data.folder={tmp_path / 'absent'}"])
    with pytest.raises(DataError, match=r"absent: no such folder; name the one that holds facade"):
        open_sources(make_config(recipe))
    with pytest.raises(DataError, match=r"there is no facade here; give --data FOLDER, which holds facade"):
        open_sources(make_config(read_recipe("photo")))
