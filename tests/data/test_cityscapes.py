"""Cityscapes as published, on trees made here, and against the official panoptic files."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.cityscapes import Cityscapes, train_id_categories
from pansight.data.opening import open_dataset
from pansight.errors import DataError, DataProblemsError
from pansight.metrics import PanopticQuality
from pansight.panoptic import Segment

# ego vehicle, road, a group of cars; two cars, a caravan (which is not evaluated), road
VALUES = np.array([[1, 7, 7, 26], [26001, 26002, 29000, 7]], dtype=np.uint16)


def perfect(quality: PanopticQuality) -> bool:
    """Whether the truth scored against itself has PQ 1."""
    result = quality.compute().all
    return result is not None and result.pq == 1.0


def write(
    root: Path, split: str = "val", name: str = "bonn_000000_000019", values: np.ndarray = VALUES
) -> Path:
    """A labelled picture; gives the file of labels."""
    city = name.partition("_")[0]
    labels, pictures = root / "gtFine" / split / city, root / "leftImg8bit" / split / city
    labels.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(name)).integers(0, 256, (*values.shape, 3), dtype=np.uint8)
    Image.fromarray(noise).save(pictures / f"{name}_leftImg8bit.png")
    Image.fromarray(values).save(labels / f"{name}_gtFine_instanceIds.png")
    return labels / f"{name}_gtFine_instanceIds.png"


def rows(data: Cityscapes, index: int = 0) -> set[tuple[int, str, int, bool]]:
    return {
        (segment.id, data.categories.names[segment.category], segment.area, segment.is_crowd)
        for segment in data.truth(index).segments
    }


def opened(root: Path, **options: object) -> Cityscapes:
    data = open_dataset(root, **options)  # type: ignore[arg-type]
    assert isinstance(data, Cityscapes)
    return data


def test_values_are_classes_crowds_and_objects(tmp_path: Path) -> None:
    write(tmp_path)
    data = opened(tmp_path)
    assert data.categories == Categories.builtin("cityscapes")
    assert (data.image_ids, data.names) == (
        ("bonn_000000_000019",),
        ("val/bonn/bonn_000000_000019_leftImg8bit.png",),
    )
    assert rows(data) == {
        (7, "road", 3, False),
        (26, "car", 1, True),
        (26001, "car", 1, False),
        (26002, "car", 1, False),
    }
    np.testing.assert_array_equal(data[0].panoptic.ids, [[0, 7, 7, 26], [26001, 26002, 0, 7]])
    with Image.open(tmp_path / "leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png") as picture:
        np.testing.assert_array_equal(data[0].image, np.asarray(picture))
    assert data[-1].file_name == data.names[0] and data[0].image_id == data.image_ids[0]
    with pytest.raises(IndexError, match="sample 1 of 1"):
        data[1]
    assert pickle.loads(pickle.dumps(data))[0].panoptic.same_as(data.truth(0))


def test_eight_bits_and_nothing_at_all(tmp_path: Path) -> None:
    write(tmp_path, name="a_0", values=np.array([[7, 27]], dtype=np.uint8))
    write(tmp_path, name="b_0", values=np.zeros((2, 2), np.uint8))
    data = opened(tmp_path)
    assert rows(data) == {(7, "road", 1, False), (27, "truck", 1, True)}
    assert rows(data, 1) == set()
    assert not data[1].panoptic.ids.any()


def test_splits(tmp_path: Path) -> None:
    write(tmp_path, "val")
    write(tmp_path, "train", "aachen_000001_000019")
    write(tmp_path, "train", "bremen_000001_000019")
    assert [len(opened(tmp_path, split=split)) for split in (None, "val", "train")] == [1, 1, 2]
    assert opened(tmp_path, split="train").image_ids == ("aachen_000001_000019", "bremen_000001_000019")
    with pytest.raises(DataError, match="has the splits train, val; choose one of them"):
        opened(tmp_path, split="test")


def test_archives_as_published(tmp_path: Path) -> None:
    write(tmp_path / "whole")
    expected = opened(tmp_path / "whole")[0]
    for folder in ("gtFine", "leftImg8bit"):
        name = str(tmp_path / f"{folder}_trainvaltest")
        shutil.make_archive(name, "zip", tmp_path / "whole", folder)
    sample = opened(tmp_path)[0]
    np.testing.assert_array_equal(sample.image, expected.image)
    assert sample.panoptic.same_as(expected.panoptic)
    assert (sample.image_id, sample.file_name) == (expected.image_id, expected.file_name)
    # one by one, and the folder of a split
    pictures = tmp_path / "whole" / "leftImg8bit"
    for images in (pictures, pictures / "val", tmp_path / "leftImg8bit_trainvaltest.zip"):
        data = open_dataset(tmp_path / "whole", images=images, panoptic=tmp_path / "gtFine_trainvaltest.zip")
        np.testing.assert_array_equal(data[0].image, expected.image)


def test_labels_without_pictures(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.rmtree(tmp_path / "leftImg8bit" / "val")
    data = opened(tmp_path)
    assert len(data.truth(0).segments) == 4
    with pytest.raises(
        DataError, match=r"bonn_000000_000019_leftImg8bit\.png: no such file; check the folder"
    ):
        data[0]
    shutil.rmtree(tmp_path / "leftImg8bit")
    with pytest.raises(DataError, match=r"has no images next to its labels; name their folder"):
        opened(tmp_path)[0]


def test_broken_files_are_named(tmp_path: Path) -> None:
    labels = write(tmp_path)
    data = opened(tmp_path)

    def refused() -> str:
        with pytest.raises(DataError) as caught:
            data[0]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    picture = tmp_path / "leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png"
    Image.new("RGB", (5, 2)).save(picture)
    assert refused().startswith(f"{picture}: the image is 5 x 2 pixels, its labels 4 x 2")
    picture.write_bytes(picture.read_bytes()[:40])
    assert refused().startswith(f"{picture}: not an image of a known format")
    picture.write_bytes(b"")
    assert refused() == f"{picture}: not an image of a known format; convert it to JPEG or PNG"
    Image.new("RGB", (4, 2)).save(picture)
    noise = np.random.default_rng(0).integers(0, 34, (64, 64)).astype(np.uint16)
    Image.fromarray(noise).save(labels)
    labels.write_bytes(labels.read_bytes()[:-200])
    assert refused().startswith(f"{labels}: cannot be read (")
    Image.fromarray(np.array([[7, 255]], dtype=np.uint8)).save(labels)
    assert refused().startswith(f"{labels}: value 255 is not an instance id of Cityscapes")
    Image.fromarray(np.array([[7, 34001]], dtype=np.uint16)).save(labels)
    assert "value 34001 is not an instance id" in refused()
    Image.new("RGB", (4, 2)).save(labels)
    assert refused().startswith(f"{labels}: an image with colours")
    labels.unlink()
    assert refused().startswith(f"{labels}: no such file")


def test_other_categories(tmp_path: Path) -> None:
    write(tmp_path)
    own = Categories.builtin("cityscapes")
    mixed = Categories.from_json(
        [
            {"id": 100 + i, "name": c.name.title(), "isthing": int(c.is_thing)}
            for i, c in enumerate(reversed(own))
        ]
    )
    data = opened(tmp_path, categories=mixed)
    assert data.categories == mixed
    assert {name for _, name, _, _ in rows(data)} == {"Road", "Car"}
    with pytest.raises(DataProblemsError) as caught:
        opened(tmp_path, categories=Categories.builtin("coco"))
    # pole, traffic light (a thing in COCO), traffic sign, vegetation, terrain, rider
    assert len(caught.value.problems) == 6
    assert any(
        problem.endswith("no category 'rider' in coco; did you mean 'river'?")
        for problem in caught.value.problems
    )


def test_a_panoptic_json_without_categories_speaks_of_the_ids_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "gtFine" / "cityscapes_panoptic_val"
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 2), (26, 0, 0)).save(folder / "bonn_1_2_gtFine_panoptic.png")
    pictures = tmp_path / "leftImg8bit" / "val" / "bonn"
    pictures.mkdir(parents=True)
    Image.new("RGB", (4, 2), (9, 8, 7)).save(pictures / "bonn_1_2_leftImg8bit.png")
    for ending, category_id in (("", 26), ("_trainId", 13)):
        segments = [{"id": 26, "category_id": category_id, "iscrowd": 1}]
        annotation = {
            "image_id": "bonn_1_2",
            "file_name": "bonn_1_2_gtFine_panoptic.png",
            "segments_info": segments,
        }
        path = tmp_path / "gtFine" / f"cityscapes_panoptic_val{ending}.json"
        path.write_text(json.dumps({"annotations": [annotation]}))
        for spoken in (None, Categories.builtin("cityscapes")):
            sample = open_dataset(path, panoptic=folder, categories=spoken)[0]
            (segment,) = sample.panoptic.segments
            assert sample.panoptic.categories.names[segment.category] == "car" and segment.is_crowd
            assert (sample.image == [9, 8, 7]).all()
    assert open_dataset(tmp_path).categories == Categories.builtin("cityscapes")
    assert train_id_categories().dataset_ids.tolist() == list(range(19))


@pytest.mark.parametrize(
    ("split", "images", "segments", "crowds"), [("train", 8, 205, 4), ("val", 15, 571, 10)]
)
def test_real_labels_are_what_the_official_converter_makes_of_them(
    shared_data: Path, split: str, images: int, segments: int, crowds: int
) -> None:
    root = shared_data / "data/formats/cityscapes"
    raw = opened(root, split=split)
    official = open_dataset(root, split=split, kind="cityscapes-panoptic")
    train_ids = open_dataset(root / f"gtFine/cityscapes_panoptic_{split}_trainId.json")
    assert len(raw) == images
    assert list(raw.image_ids) == list(official.image_ids) == list(train_ids.image_ids)
    quality = PanopticQuality(raw.categories)
    found: list[Segment] = []
    for index in range(images):
        truth = raw.truth(index)
        # The files with trainIds have the same id pictures; a few show that the classes are right.
        for other in (official, train_ids)[: 2 if index < 3 else 1]:
            np.testing.assert_array_equal(truth.ids, other.truth(index).ids)
            assert truth.segments == other.truth(index).segments
        if index < 3:
            quality.update(truth, truth)
        found += truth.segments
    assert (len(found), sum(segment.is_crowd for segment in found)) == (segments, crowds)
    assert perfect(quality)
    if split == "train":
        for data in (raw, official):
            assert data[0].image.shape == (1024, 2048, 3)
    else:
        with pytest.raises(DataError, match="no such file"):
            raw[0]


def test_real_small_trees(shared_data: Path) -> None:
    formats = shared_data / "data/formats"
    tiny = opened(formats / "cityscapes_tiny")
    (official,) = (open_dataset(formats / "cityscapes_tiny", kind="cityscapes-panoptic").truth(0),)
    assert tiny[0].panoptic.segments == official.segments
    root = formats / "tiny_layouts/cityscapes_dataset/train_dataset"
    assert rows(opened(root, split="test")) == {(27001, "truck", 1, False), (27002, "truck", 2, False)}
