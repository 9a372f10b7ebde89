"""Maps in the objects of other libraries: `datasets` itself, FiftyOne by its documented interface."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.datatools.preparing.annotated import AnnotatedSource, spoken_categories
from pansight.errors import DataError, MissingExtraError
from pansight.formats.annotation import recognised_format
from pansight.formats.annotation.fiftyone import from_sample, mask_targets, to_sample
from pansight.formats.annotation.huggingface_datasets import from_dataset, to_dataset
from pansight.panoptic import PanopticMap

CLASSES = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1},
        {"id": 7, "name": "road", "isthing": 0},
        {"id": 9, "name": "sky", "isthing": 0},
    ],
    name="mine",
)


def a_map(seed: int) -> PanopticMap:
    ids = np.random.default_rng(seed).integers(0, 5, (7, 9))
    numbers = np.array([0, 70_000 + seed, 5, 60, 9], np.int32)
    rows = [(70_000 + seed, 0, 0.5, False), (5, 0, 0.25, True), (60, 1, None, False), (9, 2, None, False)]
    return PanopticMap.from_table(numbers[ids], rows, CLASSES)


@pytest.mark.parametrize("how", ["memory", "disk", "splits", "parquet"])
def test_datasets_keep_everything(how: str, tmp_path: Path) -> None:
    import datasets

    maps = [a_map(seed) for seed in range(3)]
    images = [Image.new("RGB", (9, 7), (seed, 0, 0)) for seed in range(3)]
    dataset = to_dataset(maps, images, [f"day/{seed}.jpg" for seed in range(3)])
    assert dataset.column_names == ["image", "file_name", "label", "segments_info"]
    if how == "memory":
        back = list(from_dataset(dataset, CLASSES))
    else:
        folder = tmp_path / "saved"
        if how == "disk":
            dataset.save_to_disk(folder)
        elif how == "splits":
            parts = {"train": dataset.select([0, 1]), "val": dataset.select([2])}
            datasets.DatasetDict(parts).save_to_disk(folder)
        else:
            folder.mkdir()
            dataset.to_parquet(folder / "part.parquet")
        found = recognised_format(folder)
        assert found is not None and found.name == "huggingface"
        with pytest.raises(DataError, match=r"classes\.json"):
            found.reader(folder)
        (folder / "classes.json").write_text(json.dumps(CLASSES.to_json()))
        reader = found.reader(folder)
        assert list(reader.names) == ["day/0.jpg", "day/1.jpg", "day/2.jpg"]
        source = AnnotatedSource(reader, spoken_categories(reader, None, None, None))
        back = [source.truth(number) for number in range(3)]
    for panoptic, again in zip(maps, back, strict=True):
        assert np.array_equal(again.ids, panoptic.ids) and again.same_as(panoptic)
        assert sorted(str(one.score) for one in again.things()) == ["0.25", "0.5"]


class Document:
    """A stand-in for FiftyOne's label documents: keyword arguments become attributes, others are None."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update({"mask": None, "confidence": None, **given})


class Sample(dict[str, Any]):
    """A stand-in for `fo.Sample`: fields by name."""

    def __init__(self, filepath: str) -> None:
        super().__init__(filepath=filepath)


def test_fiftyone_samples_keep_classes_crowds_and_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(MissingExtraError, match="fiftyone is not installed"):
        to_sample(a_map(0), "a.jpg")
    module = ModuleType("fiftyone")
    for name in ("Detection", "Detections", "Segmentation"):
        setattr(module, name, Document)
    module.Sample = Sample  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    panoptic = a_map(1)
    sample = to_sample(panoptic, "a.jpg", things="gt")
    assert sample["filepath"] == "a.jpg" and mask_targets(CLASSES) == {2: "road", 3: "sky"}
    # where FiftyOne lays a mask: int(width * x)
    for one, segment in zip(sample["gt"].detections, panoptic.things(), strict=True):
        x, y = one.bounding_box[:2]
        assert (int(9 * x), int(7 * y)) == segment.box[:2]
    back = from_sample(sample, CLASSES, 7, 9, things="gt")
    assert back.same_as(panoptic)
    assert {one.score for one in back.things()} == {0.5, 0.25}
    other = from_sample(sample, CLASSES, 7, 9, things="gt", targets={2: "sky"})
    assert {CLASSES[one.category].name for one in other.segments} == {"car", "sky"}
    assert not from_sample({}, CLASSES, 7, 9).segments
    with pytest.raises(DataError, match="the image is 8 x 7"):
        from_sample(sample, CLASSES, 7, 8, things="gt")
    sample["gt"].detections[0].mask = None
    with pytest.raises(DataError, match="detection 0 \\(car\\) has no mask"):
        from_sample(sample, CLASSES, 7, 9, things="gt")
