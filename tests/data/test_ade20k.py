"""ADE20K, challenge and full release, on trees made here and on the shared samples."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.ade20k import AdeChallenge, AdeFull
from pansight.data.class_names import find_name
from pansight.data.opening import open_dataset
from pansight.errors import DataError
from pansight.metrics import PanopticQuality

ADE = Categories.builtin("ade20k")
WALL, PERSON, CAR = ADE.index("wall"), ADE.index("person"), ADE.index("car")
RED = {place: 1 + number for number, place in enumerate(ADE.thing_indices.tolist())}

# The challenge's numbers: class + 1, 0 for void.
CLASSES = np.array(
    [
        [WALL, WALL, PERSON, PERSON, PERSON],
        [WALL, -1, PERSON, PERSON, WALL],
        [CAR, WALL, WALL, WALL, PERSON],
        [WALL, CAR, WALL, CAR, WALL],
    ]
)
OBJECTS = np.array(
    [
        [0, 0, 1, 2, 2],
        [0, 0, 1, 2, 0],
        [3, 0, 0, 0, 0],
        [0, 3, 0, 1, 0],
    ]
)


def perfect(quality: PanopticQuality) -> bool:
    """Whether the truth scored against itself has PQ 1."""
    result = quality.compute().all
    return result is not None and result.pq == 1.0


def write_challenge(root: Path, *, objects: bool = True, name: str = "ADE_val_1") -> Path:
    for folder in ("images", "annotations", *(["annotations_instance"] if objects else [])):
        (root / folder / "validation").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7).integers(0, 256, (*CLASSES.shape, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / f"images/validation/{name}.jpg")
    Image.fromarray((CLASSES + 1).astype(np.uint8)).save(root / f"annotations/validation/{name}.png")
    if objects:
        codes = np.zeros((*CLASSES.shape, 3), np.uint8)
        codes[..., 0] = np.where(OBJECTS > 0, np.vectorize(lambda place: RED.get(place, 0))(CLASSES), 0)
        codes[..., 1] = OBJECTS
        Image.fromarray(codes).save(root / f"annotations_instance/validation/{name}.png")
    return root


def said(data: AdeChallenge | AdeFull, index: int = 0) -> list[tuple[str, int]]:
    """Category and area of each segment."""
    return sorted((data.categories.names[s.category], s.area) for s in data.truth(index).segments)


def test_objects_of_the_challenge(tmp_path: Path) -> None:
    data = open_dataset(write_challenge(tmp_path))
    assert isinstance(data, AdeChallenge)
    # The person at the right is not an object: void. Car 3 and car 1 are two, person 1 and car 1 too.
    assert said(data) == [("car", 1), ("car", 2), ("person", 2), ("person", 3), ("wall", 10)]
    sample = data[0]
    assert sample.panoptic.ids[2, 4] == 0 and sample.panoptic.ids[1, 1] == 0
    assert (sample.image_id, sample.file_name) == ("ADE_val_1", "ADE_val_1.jpg")
    assert data.image_ids == ("ADE_val_1",) and data.names == ("ADE_val_1.jpg",)
    # also when the folder above is given
    inside = tmp_path / "above" / "ADEChallengeData2016"
    assert len(open_dataset(write_challenge(inside).parent)) == 1


def test_without_objects_the_remedy_is_named_and_blobs_can_be_asked_for(tmp_path: Path) -> None:
    write_challenge(tmp_path, objects=False)
    with pytest.raises(DataError, match=r"do not separate objects of a class.*--kind ade20k-blobs"):
        open_dataset(tmp_path)
    data = open_dataset(tmp_path, kind="ade20k-blobs", split="val")
    assert isinstance(data, AdeChallenge)
    # What touches at a corner is one; the cars at the lower left and in the middle are two.
    assert said(data) == [("car", 1), ("car", 2), ("person", 6), ("wall", 10)]
    assert data[0].image.shape == (4, 5, 3)


def test_a_picture_without_things(tmp_path: Path) -> None:
    write_challenge(tmp_path)
    for folder, shape in (("annotations", (4, 5)), ("annotations_instance", (4, 5, 3))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / folder / "validation/ADE_val_1.png")
    for kind in ("ade20k", "ade20k-blobs"):
        assert not open_dataset(tmp_path, kind=kind).truth(0).segments


def test_panoptic_files_are_preferred_to_maps(tmp_path: Path) -> None:
    write_challenge(tmp_path, objects=False)
    (tmp_path / "ade20k_panoptic_val").mkdir()
    Image.new("RGB", (5, 4), (9, 0, 0)).save(tmp_path / "ade20k_panoptic_val/ADE_val_1.png")
    content: dict[str, object] = {
        "images": [{"id": "ADE_val_1", "file_name": "ADE_val_1.jpg"}],
        "annotations": [
            {
                "image_id": "ADE_val_1",
                "file_name": "ADE_val_1.png",
                "segments_info": [{"id": 9, "category_id": 12}],
            }
        ],
    }
    for categories in (None, [{"id": 12, "name": "person, individual, someone", "isthing": 1}]):
        content |= {"categories": categories} if categories else {}
        (tmp_path / "ade20k_panoptic_val.json").write_text(json.dumps(content))
        for images in (None, tmp_path / "images", tmp_path / "images/validation"):
            sample = open_dataset(tmp_path, split="validation", images=images, categories=ADE)[0]
            assert [s.category for s in sample.panoptic.segments] == [PERSON]


def test_broken_files_are_named(tmp_path: Path) -> None:
    data = open_dataset(write_challenge(tmp_path))
    maps, objects = (
        tmp_path / f"{name}/validation/ADE_val_1.png" for name in ("annotations", "annotations_instance")
    )

    def refused() -> str:
        with pytest.raises(DataError) as caught:
            data.truth(0)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    Image.new("RGB", (5, 4), (101, 1, 0)).save(objects)
    assert refused().startswith(f"{objects}: red 101 is not a class of things")
    Image.new("RGB", (4, 5)).save(objects)
    assert refused().startswith(f"{objects}: 4 x 5 pixels, the map of classes 5 x 4")
    Image.new("L", (5, 4)).save(objects)
    assert refused().startswith(f"{objects}: a gray image")
    objects.unlink()
    assert refused().startswith(f"{objects}: no such file")
    Image.new("L", (5, 4), 151).save(maps)
    assert refused().startswith(f"{maps}: value 151 is not a class of the challenge")
    (tmp_path / "annotations/validation/ADE_val_1.png").unlink()
    (tmp_path / "annotations/validation/readme.txt").touch()
    with pytest.raises(DataError, match=r"validation: no labels in .*check that the data set was unpacked"):
        open_dataset(tmp_path)


def write_full(root: Path) -> Path:
    """Two walls, two cars, and something that is none of the 150 classes."""
    folder = root / "images/ADE/training/urban"
    folder.mkdir(parents=True)
    numbers = {"wall": 2978, "car": 401, "other": 3113}
    grid = [("wall", 1), ("wall", 2), ("car", 3), ("car", 4), ("car", 4), ("other", 5)]
    codes = np.array([[(numbers[name] // 256 * 10, numbers[name] % 256, object) for name, object in grid]])
    Image.fromarray(codes.astype(np.uint8)).save(folder / "ADE_train_1_seg.png")
    Image.new("RGB", (6, 1), (5, 5, 5)).save(folder / "ADE_train_1.jpg")
    return root


def test_full_release(tmp_path: Path) -> None:
    data = open_dataset(write_full(tmp_path / "ADE20K_2021_17_01").parent, split="train")
    assert isinstance(data, AdeFull)
    assert said(data) == [("car", 1), ("car", 2), ("wall", 2)]
    assert data[0].panoptic.ids.tolist()[0][5] == 0
    assert data[0].file_name == "images/ADE/training/urban/ADE_train_1.jpg"
    archive = tmp_path / "ADE20K.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (tmp_path / "ADE20K_2021_17_01").rglob("*"):
            packed.write(path, path.relative_to(tmp_path).as_posix())
    assert AdeFull(archive, "training")[0].panoptic.same_as(data.truth(0))


def test_the_full_release_is_what_its_derived_panoptic_files_say(shared_data: Path) -> None:
    formats = shared_data / "data/formats"
    full = open_dataset(formats / "ade20k_full_2021/dataset")
    panoptic = open_dataset(formats / "ade20k_full_2021_panoptic", categories=ADE)
    quality = PanopticQuality(ADE)
    assert len(full) == len(panoptic) == 3
    for index in range(3):
        truth = full.truth(index)
        assert truth.same_as(panoptic.truth(index))
        quality.update(truth, truth)
    assert perfect(quality)
    assert full[2].image.shape == panoptic[2].image.shape == (1467, 2200, 3)


def test_the_numbers_of_classes_are_those_that_the_full_release_names(shared_data: Path) -> None:
    from pansight.data.ade20k import _challenge_class

    root = shared_data / "data/formats/ade20k_full_2021/dataset"
    named = {
        item["name_ndx"]: item["name"]
        for path in root.rglob("*.json")
        for item in json.loads(path.read_text(encoding="latin-1"))["annotation"]["object"]
        if item["parts"]["part_level"] == 0
    }
    assert len(named) == 24
    for number, name in named.items():
        place = find_name(name, ADE)
        assert _challenge_class()[number] == (-1 if place is None else place)


def test_the_release_of_2016_reads_alike_in_both_its_encodings(shared_data: Path) -> None:
    folder = shared_data / "data/formats/ade20k_full_2016"
    for split in ("train", "val"):
        data = open_dataset(folder, split=split)
        truth = data.truth(0)
        assert truth.segments
        with pytest.raises(DataError, match=r"\.jpg: no such file"):
            data[0]
    # The same picture in the full encoding and, reduced to 683 x 512, in that of the challenge.
    reader = AdeFull(folder / "ADE20K_2016_07_26", "training")
    raw = (folder / "convertFromADE/ADE_train_00000970_raw.png").read_bytes()
    ids, table = reader.decode(raw, reader._entries[0])
    categories = {row[0]: row[1] for row in table}
    with Image.open(folder / "convertFromADE/ADE_train_00000970_challenge.png") as picture:
        reduced = np.asarray(picture)
    rows = (np.arange(reduced.shape[0]) + 0.5) * ids.shape[0] / reduced.shape[0]
    columns = (np.arange(reduced.shape[1]) + 0.5) * ids.shape[1] / reduced.shape[1]
    small = ids[rows.astype(int)[:, None], columns.astype(int)]
    classes = np.vectorize(lambda id: categories.get(id, -1) + 1)(small)
    assert (classes == reduced).mean() > 0.99


def test_the_shared_challenge_in_blobs(shared_data: Path) -> None:
    root = shared_data / "data/formats/ade20k_challenge2016"
    with pytest.raises(DataError, match="--kind ade20k-blobs"):
        open_dataset(root)
    quality = PanopticQuality(ADE)
    for split, count in (("train", 1), ("val", 3)):
        data = open_dataset(root, kind="ade20k-blobs", split=split)
        assert len(data) == count
        for index in range(count):
            sample = data[index]
            quality.update(sample.panoptic, sample.panoptic)
            stuff = [segment.category for segment in sample.panoptic.stuff()]
            assert len(set(stuff)) == len(stuff)
            with Image.open(root / f"annotations/{data.where.name}/{data.image_ids[index]}.png") as picture:  # type: ignore[attr-defined]
                np.testing.assert_array_equal(sample.panoptic.semantic() + 1, np.asarray(picture))
    assert perfect(quality)
