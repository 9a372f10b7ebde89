"""The COCO panoptic reader, on files made here and on the shared real ones."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories, Category
from pansight.data.coco import CocoPanoptic
from pansight.errors import DataError, DataProblemsError
from pansight.metrics import PanopticQuality
from pansight.panoptic.ids import ids_to_rgb

ROWS = [{"id": 1, "name": "person", "isthing": 1}, {"id": 184, "name": "tree", "isthing": 0}]
IDS = np.array([[70000, 70000, 0, 9], [70000, 9, 9, 9]], dtype=np.int32)
SEGMENTS: list[dict[str, Any]] = [
    {"id": 70000, "category_id": 1, "iscrowd": 1, "area": 999, "bbox": []},
    {"id": 9, "category_id": 184},
    {"id": 8, "category_id": 1},  # has no pixels: dropped
]


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 4, 3), dtype=np.uint8)


class Files:
    """A data set of two images in `root`; change `content` before `write`."""

    def __init__(self, root: Path) -> None:
        self.root, self.json, self.images = root, root / "panoptic.json", root / "images"
        self.images.mkdir()
        (root / "panoptic").mkdir()
        self.content: dict[str, Any] = {"images": [], "annotations": [], "categories": ROWS}
        for number, image_id in enumerate((31, 7)):
            self.content["images"].insert(0, {"id": image_id, "file_name": f"photo{image_id}.png"})
            Image.fromarray(picture(number)).save(self.images / f"photo{image_id}.png")
            Image.fromarray(ids_to_rgb(IDS)).save(root / "panoptic" / f"{image_id}.png")
            self.content["annotations"].append(
                {
                    "image_id": image_id,
                    "file_name": f"{image_id}.png",
                    "segments_info": [dict(segment) for segment in SEGMENTS],
                }
            )

    def open(self, **options: Any) -> CocoPanoptic:
        self.json.write_text(json.dumps(self.content))
        return CocoPanoptic(self.json, self.images, **options)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def problems_of(files: Files, **options: Any) -> list[str]:
    with pytest.raises(DataProblemsError) as caught:
        files.open(**options)
    return [problem.removeprefix(f"{files.json}: ") for problem in caught.value.problems]


def test_samples_hold_what_the_files_say(files: Files) -> None:
    data = files.open()
    assert len(data) == 2 and data.categories.names == ("person", "tree")
    first, last = data[0], data[-1]
    assert (first.image_id, first.file_name, last.image_id) == (31, "photo31.png", 7)
    np.testing.assert_array_equal(first.image, picture(0))
    np.testing.assert_array_equal(last.image, picture(1))
    np.testing.assert_array_equal(first.panoptic.ids, IDS)
    person, tree = first.panoptic.segments
    assert (person.id, person.category, person.area, person.is_crowd) == (70000, 0, 3, True)
    assert (tree.id, tree.category, tree.area, tree.is_crowd, tree.box) == (9, 1, 4, False, (1, 0, 3, 2))
    with pytest.raises(IndexError):
        data[2]
    assert [sample.image_id for sample in pickle.loads(pickle.dumps(data))] == [31, 7]


def test_pictures_are_opened_only_when_asked_for(files: Files) -> None:
    (files.images / "photo7.png").unlink()
    (files.root / "panoptic" / "31.png").write_text("no picture")
    data = files.open()
    assert len(data.truth(1).segments) == 2
    with pytest.raises(DataError, match=r"photo7.png: no such file"):
        data[1]
    with pytest.raises(DataError, match=r"31.png: cannot be read"):
        data[0]


def test_without_images_pictures_are_found_by_the_name_of_the_labels(files: Files) -> None:
    del files.content["images"]
    Image.fromarray(picture(0)).save(files.images / "31.jpeg")
    (files.images / "photo7.png").rename(files.images / "7.png")
    data = files.open()
    assert data[0].file_name == "31.png" and data[0].image.shape == (2, 4, 3)
    np.testing.assert_array_equal(data[1].image, picture(1))


def test_pictures_may_be_stored_in_another_format_than_listed(files: Files) -> None:
    for image in files.content["images"]:
        image["file_name"] = image["file_name"].replace(".png", ".jpg")
    np.testing.assert_array_equal(files.open()[1].image, picture(1))


def test_the_folder_of_id_pictures_may_be_given(files: Files) -> None:
    (files.root / "panoptic").rename(files.root / "ids")
    assert files.open(panoptic=files.root / "ids")[0].panoptic.height == 2


def test_categories_from_outside(files: Files) -> None:
    wanted = Categories(
        [
            Category("tree", False, 2, (0, 1, 0)),
            Category("dog", True, 184, (0, 0, 1)),
            Category("person", True, 3, (1, 0, 0)),
        ]
    )
    # By name, whatever the ids: those of `wanted` mean something else.
    assert [segment.category for segment in files.open(categories=wanted)[0].panoptic.segments] == [2, 0]
    # one that no segment has is in nobody's way
    files.content["categories"] = [*ROWS, {"id": 5, "name": "persom", "isthing": 1}]
    assert [segment.category for segment in files.open(categories=wanted)[0].panoptic.segments] == [2, 0]
    files.content["categories"] = [{**ROWS[0], "name": "persom"}, ROWS[1]]
    assert problems_of(files, categories=wanted) == ["no category 'persom' in custom; did you mean 'person'?"]
    files.content["categories"] = [{**ROWS[0], "isthing": 0}, ROWS[1]]
    assert problems_of(files, categories=wanted) == ["'person' is stuff here, a thing in custom"]
    del files.content["categories"]
    with pytest.raises(DataError, match=r'no "categories" in it; name the set'):
        files.open()
    # Without names, the ids are all there is.
    assert problems_of(files, categories=wanted)[0].startswith("image 31: segment 70000 has category_id 1,")
    same = Categories.from_json(ROWS)
    assert files.open(categories=same)[0].panoptic.segments[0].category == 0


def test_odd_entries_among_the_images_are_no_names(files: Files) -> None:
    files.content["images"] += ["text", {"id": [7], "file_name": "a.png"}, {"id": 7}, {"file_name": "b.png"}]
    assert files.open()[1].file_name == "photo7.png"


def test_every_problem_of_the_json_is_listed(files: Files) -> None:
    first, second = files.content["annotations"]
    first["segments_info"] += [
        {"id": 9, "category_id": 1},
        {"id": 5, "category_id": 77},
        {"id": 0, "category_id": 1},
        {"id": 2**24, "category_id": 1},
        {"category_id": 1},
        "text",
    ]
    second["image_id"] = 31
    files.content["annotations"] += [
        {"image_id": 5},
        3,
        {**first, "image_id": 1.5},
        {**first, "image_id": 2, "file_name": 2},
    ]
    assert problems_of(files) == [
        "image 31: segment 9 is listed twice",
        "image 31: segment 5 has category_id 77, which panoptic.json does not have",
        "image 31: segment id 0 is not in 1..16777215",
        "image 31: segment id 16777216 is not in 1..16777215",
        "image 31: segment {'category_id': 1} needs id and category_id, whole numbers",
        "image 31: segment 'text' needs id and category_id, whole numbers",
        "image 31 is annotated twice",
        "annotation 2 lacks file_name and segments_info",
        "annotation 3 is not an object",
        "annotation 4 has image_id 1.5, which is neither a number nor a string",
        "annotation 5 has a file_name that is not a string, or segments_info that is not a list",
    ]
    files.content["annotations"] = []
    assert problems_of(files) == ["no annotations in it"]


def test_pictures_that_do_not_fit_are_named_with_their_id(files: Files) -> None:
    data = files.open()
    Image.fromarray(ids_to_rgb(IDS + 1)).save(files.root / "panoptic" / "31.png")
    with pytest.raises(DataError, match=r"31.png: does not fit image 31 of panoptic.json: .*70001"):
        data[0]
    Image.fromarray(picture(0)[:, :3]).save(files.images / "photo7.png")
    with pytest.raises(DataError, match=r"photo7.png: the image is 3 x 2 pixels, its labels 4 x 2"):
        data[1]


REAL = (
    # JSON, folder of the id pictures, of the pictures, images, built-in categories where the file has none
    ("coco/panoptic_sample.json", "coco/panoptic", "coco/images", 4, None),
    ("formats/coco_panoptic_mseg/annotations/panoptic_val2017.json", None, "coco/images", 1, "coco"),
    ("formats/coco_stuff_SPADE/panoptic_val.json", None, "formats/coco_stuff_SPADE/val_img", 8, None),
    ("camvid/panoptic_val.json", None, "camvid/val", 101, None),
)


@pytest.mark.parametrize(("name", "panoptic", "images", "length", "builtin"), REAL)
def test_real_files(
    shared_data: Path, name: str, panoptic: str | None, images: str, length: int, builtin: str | None
) -> None:
    root = shared_data / "data"
    data = CocoPanoptic(
        root / name,
        root / images,
        root / panoptic if panoptic else None,
        Categories.builtin(builtin) if builtin else None,
    )
    assert len(data) == length
    quality = PanopticQuality(data.categories, exact=True)
    for index in range(min(length, 4)):
        sample = data[index]
        listed = json.loads((root / name).read_text())["annotations"][index]["segments_info"]
        assert [segment.id for segment in sample.panoptic.segments] == [row["id"] for row in listed]
        assert [segment.area for segment in sample.panoptic.segments] == [row["area"] for row in listed]
        quality.update(sample.panoptic, sample.panoptic)
    result = quality.compute()
    assert result.all is not None and result.all.pq == 1.0


def test_a_picture_stored_as_png(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "data" / "formats" / "hf_coco"
    rows = json.loads((root / "coco_panoptic_annotations.txt").read_text())
    annotation = {"image_id": 39769, "file_name": "000000039769.png", "segments_info": rows}
    (tmp_path / "panoptic.json").write_text(json.dumps({"annotations": [annotation]}))
    data = CocoPanoptic(tmp_path / "panoptic.json", root, root / "coco_panoptic", Categories.builtin("coco"))
    assert data[0].image.shape == (480, 640, 3)
    assert [data.categories[segment.category].name for segment in data[0].panoptic.segments][:3] == [
        "cat",
        "cat",
        "couch",
    ]


@pytest.mark.parametrize("name", ["", ".", "/", "..", "x" * 5000, "a\0b"])
def test_names_that_no_file_can_have_are_missing_files(files: Files, name: str) -> None:
    files.content["images"] = [{"id": 31, "file_name": name}]
    data = files.open()
    with pytest.raises(DataError, match="no such file; check the folder of the images"):
        data[0]
    files.content["annotations"][0]["file_name"] = name
    with pytest.raises(DataError, match="no such file; check the folder of the panoptic PNGs"):
        files.open().truth(0)
