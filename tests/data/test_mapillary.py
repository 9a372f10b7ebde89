"""Mapillary Vistas, raw and panoptic, on trees made here and on the shared samples."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.data.mapillary import Mapillary, read_classes
from pansight.data.opening import open_dataset
from pansight.errors import DataError, DataProblemsError
from pansight.metrics import PanopticQuality

BIRD, ROAD, UNLABELED = 0, 13, 65
# two birds, the road in two pieces, void
VALUES = np.array([[0, 1, 1], [ROAD * 256, ROAD * 256 + 9, UNLABELED * 256]], dtype=np.uint16)
V2 = [
    {"name": "animal--bird", "readable": "Bird", "instances": True, "evaluate": True, "color": [1, 2, 3]},
    {
        "name": "void--dynamic",
        "readable": "Dynamic",
        "instances": False,
        "evaluate": False,
        "color": [0, 0, 0],
    },
    {"name": "construction--flat--road", "readable": "Road", "instances": False, "evaluate": True},
]


def perfect(quality: PanopticQuality) -> bool:
    """Whether the truth scored against itself has PQ 1."""
    result = quality.compute().all
    return result is not None and result.pq == 1.0


def write(root: Path, split: str = "validation", version: str = "v1.2", values: np.ndarray = VALUES) -> Path:
    """A labelled picture; gives the file of labels."""
    pictures, labels = root / split / "images", root / split / version / "instances"
    pictures.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", values.shape[::-1], (90, 80, 70)).save(pictures / "abc.jpg")
    Image.fromarray(values).save(labels / "abc.png")
    return labels / "abc.png"


def said(data: Any, index: int = 0) -> list[tuple[str, int]]:
    return sorted((data.categories.names[s.category], s.area) for s in data.truth(index).segments)


def test_values_are_classes_and_objects(tmp_path: Path) -> None:
    write(tmp_path)
    data = open_dataset(tmp_path)
    assert isinstance(data, Mapillary)
    assert data.categories == Categories.builtin("mapillary")
    assert said(data) == [("Bird", 1), ("Bird", 2), ("Road", 2)]
    sample = data[0]
    assert (sample.image_id, sample.file_name) == ("abc", "abc.jpg")
    np.testing.assert_array_equal(sample.panoptic.ids, [[1, 2, 2], [ROAD * 256 + 1, ROAD * 256 + 1, 0]])
    assert len(open_dataset(tmp_path, images=tmp_path / "validation/images", split="val")) == 1
    with pytest.raises(DataError, match="has the splits validation; choose"):
        open_dataset(tmp_path, split="train")


def test_first_release_without_a_folder_for_the_version(tmp_path: Path) -> None:
    write(tmp_path, "training", ".")
    assert said(open_dataset(tmp_path, split="train")) == [("Bird", 1), ("Bird", 2), ("Road", 2)]


def test_archives(tmp_path: Path) -> None:
    write(tmp_path)
    expected = open_dataset(tmp_path)[0]
    for folder in (tmp_path / "validation/images", tmp_path / "validation/v1.2/instances"):
        shutil.make_archive(str(folder), "zip", folder)
        shutil.rmtree(folder)
    sample = open_dataset(tmp_path)[0]
    assert sample.panoptic.same_as(expected.panoptic)
    np.testing.assert_array_equal(sample.image, expected.image)


def test_versions_and_their_classes(tmp_path: Path) -> None:
    values = np.array([[0, 1, 256], [512, 513, 513]], dtype=np.uint16)
    write(tmp_path, version="v2.0", values=values)
    with pytest.raises(DataError, match=r"listed in config_v2\.0\.json; put it next to"):
        open_dataset(tmp_path)
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": V2}))
    data = open_dataset(tmp_path)
    assert [(c.name, c.dataset_id, c.is_thing) for c in data.categories] == [
        ("Bird", 1, True),
        ("Road", 3, False),
    ]
    assert said(data) == [("Bird", 1), ("Bird", 1), ("Road", 3)]
    assert said(open_dataset(tmp_path, categories=Categories.builtin("mapillary"))) == said(data)
    # of two versions the one with the 65 classes, unless the other is asked for
    write(tmp_path)
    assert len(open_dataset(tmp_path).categories) == 65
    assert len(open_dataset(tmp_path, kind="mapillary-v2.0").categories) == 2
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": [*V2, V2[0]]}))
    with pytest.raises(DataError, match=r"config_v2\.0\.json: category name 'animal--bird' occurs twice"):
        open_dataset(tmp_path, kind="mapillary-v2.0")
    twice = [V2[0], {**V2[2], "readable": "Bird"}]
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": twice}))
    names = read_classes(tmp_path / "config_v2.0.json", "v2.0").categories.names
    assert names == ("animal--bird", "construction--flat--road")
    for broken in ("{}", "[]", "{", '{"labels": [{"name": "a"}]}', '{"labels": 5}'):
        (tmp_path / "config_v2.0.json").write_text(broken)
        with pytest.raises(DataError, match=r"config_v2\.0\.json: not a list of labels"):
            open_dataset(tmp_path, kind="mapillary-v2.0")


def test_broken_files_are_named(tmp_path: Path) -> None:
    labels = write(tmp_path)
    data = open_dataset(tmp_path)
    Image.fromarray(np.array([[66 * 256]], dtype=np.uint16)).save(labels)
    with pytest.raises(
        DataError, match=r"abc\.png: value 16896 is of class 66, and the config lists 0\.\.65"
    ):
        data.truth(0)
    Image.fromarray(VALUES[:, :2]).save(labels)
    with pytest.raises(DataError, match=r"abc\.jpg: the image is 3 x 2 pixels, its labels 2 x 2"):
        data[0]
    (tmp_path / "validation/images/abc.jpg").unlink()
    with pytest.raises(DataError, match=r"abc\.jpg: no such file"):
        data[0]
    labels.unlink()
    with pytest.raises(DataError, match=r"abc\.png: no such file; check the folder of the labels"):
        data.truth(0)
    with pytest.raises(DataError, match="no labels in"):
        open_dataset(tmp_path)
    with pytest.raises(DataProblemsError, match="no category 'Curb' in coco; did you mean"):
        write(tmp_path)
        open_dataset(tmp_path, categories=Categories.builtin("coco"))


def test_shared_trees(shared_data: Path) -> None:
    root = shared_data / "data/formats/mapillary/layout_v1.2_v2.0"
    for kind, version in (("mapillary", "v1.2"), ("mapillary-v2.0", "v2.0")):
        for split, count in (("train", 1), ("val", 2)):
            panoptic = open_dataset(root, kind=kind, split=split)
            assert isinstance(panoptic, CocoPanoptic) and len(panoptic) == count
            raw = open_dataset(root, kind=kind, split=split, panoptic=root / split / version / "instances")
            assert isinstance(raw, Mapillary) and len(raw) == count
            quality = PanopticQuality(raw.categories)
            for index in range(count):
                # In the dummies' JSON the categories are others than in their raw files; regions are alike.
                assert len(panoptic[index].panoptic.segments) == len(raw[index].panoptic.segments)
                assert sorted(s.area for s in panoptic.truth(index).segments) == sorted(
                    s.area for s in raw.truth(index).segments
                )
                quality.update(raw.truth(index), raw.truth(index))
            assert perfect(quality)
    tiny = shared_data / "data/formats/tiny_layouts/mapillary_vistas_dataset"
    assert len(open_dataset(tiny)) == 2


def test_the_real_config_is_the_built_in_set(shared_data: Path) -> None:
    config = shared_data / "data/formats/mapillary/mapillary-vistas-dataset_public_v1.1_config.json"
    with_file, without = read_classes(config, "v1.2"), read_classes(None, "v1.2")
    assert with_file == without
    assert len(with_file.categories.thing_indices) == 37
    assert with_file.places == (*range(65), -1)
