"""Pairing by the file names of pictures; pairing by image id is in test_coco_evaluation.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pansight.errors import DataProblemsError
from pansight.metrics import EvaluationWarning, evaluate_coco
from pansight.metrics.coco_pairs import Paired, pair_files

WriteSet = Callable[..., Path]

IDS = np.array([[5, 5, 5, 0], [5, 7, 7, 7]])
TRUE = [
    {"id": 5, "category_id": 1, "iscrowd": 0, "area": 4},
    {"id": 7, "category_id": 184, "iscrowd": 0, "area": 3},
]
PREDICTED = [{"id": 5, "category_id": 1}, {"id": 7, "category_id": 184}]


def paired(*arguments: Any, **options: Any) -> Paired:
    found = pair_files(*arguments, **options)
    assert isinstance(found, Paired)
    return found


def renumbered(path: Path, images: dict[str, int], pictures: list[Any] | None) -> None:
    """Give the images of a set, named by their PNG, other ids; list their pictures."""
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["image_id"] = images[annotation["file_name"]]
    if pictures is not None:
        content["images"] = pictures
    path.write_text(json.dumps(content))


def test_by_name_ids_do_not_matter(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE), 2: (IDS.T, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED), 2: (IDS.T, PREDICTED)})
    renumbered(prediction, {"1.png": 2, "2.png": 1}, None)
    with pytest.raises(DataProblemsError, match="the prediction is 2 x 4 pixels, the truth 4 x 2"):
        evaluate_coco(truth, prediction)
    result = evaluate_coco(truth, prediction, by_name=True)
    assert result.all is not None and result.all.pq == 1.0 and result.images == 2


def test_by_name_listed_pictures_count_before_id_pictures(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {8: (IDS, PREDICTED)})
    renumbered(truth, {"1.png": 1}, [{"id": 1, "file_name": "val/town_leftImg8bit.png"}])
    (pair,) = paired(truth, prediction, by_name=True).pairs
    assert pair.prediction is None and pair.name == "val/town_leftImg8bit.png"
    renumbered(prediction, {"8.png": 0}, [{"id": 0, "file_name": "town_leftImg8bit.jpg"}, "broken"])
    (pair,) = paired(truth, prediction, by_name=True).pairs
    assert pair.prediction is not None and pair.prediction.picture.name == "8.png"
    assert pair.truth is not None and pair.truth.picture.name == "1.png"


def test_by_name_what_cannot_be_paired_is_told(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE), 2: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED), 3: (IDS, PREDICTED)})
    content = json.loads(prediction.read_text())
    content["annotations"].append({"image_id": 9, "segments_info": []})
    prediction.write_text(json.dumps(content))
    found = paired(truth, prediction, by_name=True)
    assert found.problems == [
        f"{prediction}: image 9 has no file_name",
        f"{prediction}: no prediction for image '2'",
    ]
    assert found.remarks.lines() == (
        f"extra prediction: {prediction}: image '3' is not in the truth; it is ignored",
    )


def test_by_name_the_last_of_two_predictions_counts(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED[:1]), 2: (IDS, PREDICTED)})
    renumbered(
        prediction,
        {"1.png": 1, "2.png": 2},
        [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "1.jpeg"}],
    )
    with pytest.warns(EvaluationWarning, match="image '1' is listed again; the last entry counts"):
        result = evaluate_coco(truth, prediction, by_name=True)
    assert result.all is not None and result.all.pq == 1.0


def test_unreadable_files_are_problems_and_nothing_else(tmp_path: Path) -> None:
    found = pair_files(tmp_path / "a.json", tmp_path / "b.json")
    assert isinstance(found, list) and len(found) == 2
