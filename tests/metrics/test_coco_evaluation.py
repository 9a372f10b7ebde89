"""Evaluation of files: what is read, what is refused, and that every problem is told at once."""

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.errors import DataError, DataProblemsError
from pansight.metrics import EvaluationWarning, evaluate_coco

WriteSet = Callable[..., Path]

IDS = np.array([[5, 5, 5, 0], [5, 7, 7, 7]])
TRUE = [
    {"id": 5, "category_id": 1, "iscrowd": 0, "area": 4},
    {"id": 7, "category_id": 184, "iscrowd": 0, "area": 3},
]
PREDICTED = [{"id": 5, "category_id": 1}, {"id": 7, "category_id": 184}]


def problems_of(*arguments: Any, **options: Any) -> list[str]:
    with pytest.raises(DataProblemsError) as caught:
        evaluate_coco(*arguments, **options)
    problems = caught.value.problems
    assert str(caught.value).splitlines()[1:] == [f"  {problem}" for problem in problems]
    return problems


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_files_are_scored_and_progress_is_told(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE), "b": (IDS, TRUE)})
    prediction = write_set("prediction", {"b": (IDS, PREDICTED), 1: (IDS, PREDICTED)})
    told: list[tuple[int, int]] = []
    result = evaluate_coco(truth, str(prediction), progress=lambda done, all_: told.append((done, all_)))
    assert result.all is not None and result.all.pq == 1.0 and result.images == 2
    assert told == [(1, 2), (2, 2)]


def test_folders_and_categories_may_be_given_apart(write_set: WriteSet, categories: Categories) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)}, categories=[])
    prediction = write_set("prediction", {1: (IDS, PREDICTED)})
    png, predicted = [
        path.with_suffix("").rename(path.with_name(path.stem + "_png")) for path in (truth, prediction)
    ]
    result = evaluate_coco(truth, prediction, png, predicted, categories=categories)
    assert result.all is not None and result.all.pq == 1.0
    found = problems_of(truth, prediction, png, predicted)
    assert found == [
        f'{truth}: no list "categories" in it; add it, or swap the two files: {prediction} has one'
    ]


def test_rgba_counts_and_its_alpha_does_not(write_set: WriteSet, tmp_path: Path) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED)})
    file = tmp_path / "prediction" / "1.png"
    rgb = np.asarray(Image.open(file))
    alpha = np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    Image.fromarray(np.concatenate([rgb, alpha], axis=2)).save(file)
    result = evaluate_coco(truth, prediction)
    assert result.all is not None and result.all.pq == 1.0


def test_rule_6_extra_and_repeated_predictions(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED)})

    def crowd_out(content: Any) -> None:
        # The first entry is broken and so is the extra image: neither is looked at.
        content["annotations"].insert(0, {"image_id": 1, "file_name": 3})
        content["annotations"].append({"image_id": 5555})

    edit(prediction, crowd_out)
    with pytest.warns(EvaluationWarning, match="repeated image"):
        result = evaluate_coco(truth, prediction)
    assert result.all is not None and result.all.pq == 1.0
    assert result.warnings == (
        f"repeated image: {prediction}: image 1 is listed again; the last entry counts",
        f"extra prediction: {prediction}: image 5555 is not in the truth; it is ignored",
    )


def test_repeated_true_images_count_each_time(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED)})
    edit(truth, lambda content: content["annotations"].append(content["annotations"][0]))
    with pytest.warns(EvaluationWarning):
        result = evaluate_coco(truth, prediction)
    assert result.images == 2 and result.classes[0].tp == 2


def test_names_of_categories_need_not_be_unique(write_set: WriteSet) -> None:
    rows = [
        {"id": 1, "isthing": 1},
        {"id": 3, "name": "tree", "isthing": 1},
        {"id": 184, "name": "tree", "isthing": 0},
    ]
    truth = write_set("truth", {1: (IDS, TRUE)}, categories=rows)
    result = evaluate_coco(truth, write_set("prediction", {1: (IDS, PREDICTED)}))
    assert [one.category.name for one in result.classes] == ["category 1", "tree", "tree (184)"]
    assert result.all is not None and result.all.n == 2


@pytest.mark.parametrize("exact", [True, False])
def test_every_problem_is_listed_by_file(write_set: WriteSet, tmp_path: Path, exact: bool) -> None:
    numbers = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    truth = write_set("truth", dict.fromkeys(numbers, (IDS, TRUE)))
    prediction = write_set("prediction", dict.fromkeys(numbers, (IDS, PREDICTED)))
    t, p = tmp_path / "truth", tmp_path / "prediction"

    def damage_truth(content: Any) -> None:
        del content["annotations"][4]["segments_info"][0]["iscrowd"]
        content["annotations"].append({"file_name": "1.png", "segments_info": []})

    def damage_prediction(content: Any) -> None:
        annotations = content["annotations"]
        annotations[0]["segments_info"][0]["category_id"] = 9999
        annotations[1]["segments_info"][0]["id"] = 6
        annotations[7]["segments_info"] = {"id": 5}
        del annotations[8]["file_name"]
        annotations[8]["image_id"] = "9"

    edit(truth, damage_truth)
    edit(prediction, damage_prediction)
    (p / "3.png").unlink()
    Image.open(p / "4.png").convert("P").save(p / "4.png")
    (t / "5.png").write_bytes((t / "5.png").read_bytes()[:50])
    Image.fromarray(np.zeros((9, 4, 3), dtype=np.uint8)).save(p / "6.png")
    (t / "7.png").write_text("no picture")
    found = problems_of(truth, prediction, exact=exact)
    expected = [
        f"{prediction}: image 8 has no list segments_info",
        f"{prediction}: no prediction for image 9 (there is one for '9': number and text are different ids)",
        f"{truth}: annotation 9 has no image_id",
        f"{p / '1.png'} (image 1 of prediction.json): segment 5 has category_id 9999, which {truth} does",
        f"{p / '2.png'} (image 2 of prediction.json): id 5 is in the PNG but not in segments_info",
        f"{p / '2.png'} (image 2 of prediction.json): id 6 is in segments_info but not in the PNG",
        f"{p / '3.png'}: no such file",
        f"{p / '4.png'}: an image of mode P holds no segment ids; save it as 8-bit RGB",
        f"{t / '5.png'}: cannot be read",
        f"{t / '5.png'} (image 5 of truth.json): segment 5 lacks iscrowd",
        f"{p / '6.png'} (image 6 of prediction.json): the prediction is 4 x 9 pixels, the truth 4 x 2",
        f"{p / '6.png'} (image 6 of prediction.json): ids 5, 7 are in segments_info but not in the PNG",
        f"{t / '7.png'}: cannot be read",
    ]
    missing = [start for start in expected if not any(line.startswith(start) for line in found)]
    assert not missing, found
    assert len(found) == len(expected), found
    assert not any("\n" in line for line in found)


def test_broken_categories_do_not_hide_other_problems(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)}, categories=[{"id": 1, "name": "person"}])
    prediction = write_set("prediction", {1: (IDS, PREDICTED[:1])})
    found = problems_of(truth, prediction)
    assert len(found) == 2
    assert found[0].startswith(f"{truth}: ") and "isthing" in found[0]
    assert found[1].endswith("id 7 is in the PNG but not in segments_info")


def test_unreadable_json_files_are_both_told(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "cut.json").write_text('{"annotations": [')
    assert [line.split(":")[0] for line in problems_of(tmp_path / "none.json", tmp_path / "cut.json")] == [
        str(tmp_path / "none.json"),
        str(tmp_path / "cut.json"),
    ]
    found = problems_of(tmp_path / "list.json", tmp_path)
    assert 'no list "annotations"' in found[0] and found[1].startswith(f"{tmp_path}: cannot be read")


def test_nothing_to_score_is_an_error(write_set: WriteSet) -> None:
    void = np.zeros((2, 4), dtype=np.int32)
    truth, prediction = write_set("truth", {1: (void, [])}), write_set("prediction", {1: (void, [])})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "nothing to score" in problems_of(truth, prediction)[0]
        edit(truth, lambda content: content["annotations"].clear())
        assert "nothing to score" in problems_of(truth, prediction)[0]


def test_the_error_is_a_data_error_that_survives_a_process_border(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        evaluate_coco(tmp_path / "a.json", tmp_path / "b.json")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, DataProblemsError) and str(again) == str(caught.value)
    assert len(again.problems) == 2


def test_a_missing_folder_is_one_problem(write_set: WriteSet, tmp_path: Path) -> None:
    truth = write_set("truth", {1: (IDS, TRUE), 2: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED), 2: (IDS, [{"id": 5}])})
    (problem, other) = problems_of(truth, prediction, None, tmp_path / "elsewhere")
    start = f"{tmp_path / 'elsewhere' / '1.png'}: no such file, and 1 more: the folder"
    assert problem.startswith(f"{start} {tmp_path / 'elsewhere'} does not exist;")
    assert "segment 5 lacks category_id" in other


def test_files_in_the_wrong_places_are_suspected(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, TRUE)})
    prediction = write_set("prediction", {1: (IDS, PREDICTED)})
    with pytest.warns(EvaluationWarning, match="both truth and prediction"):
        evaluate_coco(truth, truth)
    for path in (truth, prediction):
        edit(path, lambda content: content.pop("categories"))
    assert f'{truth}: no list "categories" in it; add it' in problems_of(truth, prediction)


def test_a_crowd_flag_that_is_neither_0_nor_1_is_remarked_on(write_set: WriteSet) -> None:
    truth = write_set("truth", {1: (IDS, [TRUE[0], {**TRUE[1], "iscrowd": "1"}])})
    with pytest.warns(EvaluationWarning, match="segment 7 has iscrowd '1', a string; taken as 1"):
        result = evaluate_coco(truth, write_set("prediction", {1: (IDS, PREDICTED)}))
    assert result.all is not None and result.all.pq == 1.0
