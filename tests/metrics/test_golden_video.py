"""The reference evaluators' unrounded answers for videos, case by case, in both modes."""

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.errors import DataProblemsError
from pansight.metrics.remarks import EvaluationWarning, Remarks
from pansight.metrics.video_evaluation import VideoEvaluation, evaluate_video
from pansight.metrics.video_frames import pair_coco

TOLERANCE = 1e-12
ROOT = Path(os.environ.get("PANSIGHT_TEST_DATA", "")) / "golden" / "video"
INDEX: list[dict[str, Any]] = (
    json.loads((ROOT / "index.json").read_text()) if os.environ.get("PANSIGHT_TEST_DATA") else []
)
ABSENT = pytest.param(
    "", marks=pytest.mark.skip("PANSIGHT_TEST_DATA is not set: the golden cases are not here")
)
FORMS = {"v11_three_forms": ("flat", "vipseg", "cityscapes_vps")}

PROBLEMS = {
    "m01_png_id_not_listed": ["pred/m/00000002.png: id 13 is in the PNG"],
    "m02_listed_id_not_in_png": ["pred/m/00000003.png: id 99 is in segments_info"],
    "m03_unknown_category": ["pred/m/00000001.png: segment 13 has category_id 77"],
    "m08_missing_video": [f"no prediction for frame '0000000{n}' of video 'n'" for n in (1, 2, 3)],
    "m09_sizes_differ": ["pred/m/00000002.png: the prediction is 30 x 24"],
    "v10_missing_frames": [f"no prediction for frame {n} of video 'lost'" for n in (2, 5)],
}


def reference(case: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "reference.json").read_text())["cases"][case]
    return content


def answer(folder: Path, exact: bool, missing: Any = "error") -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        return evaluate_video(
            folder / "gt.json", folder / "pred.json", exact=exact, missing=missing
        ).to_json()


def assert_same(got: float | None, expected: float | None, *where: object) -> None:
    if expected is None or got is None:
        assert got is expected, where
    else:
        assert abs(got - expected) <= TOLERANCE, where


def assert_reference(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for window, row in expected["vpq"].items():
        for ours, theirs in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
            group = row and row[theirs]
            for key in ("pq", "sq", "rq"):
                assert_same(got["vpq"][window][ours][key], group and group[key], window, ours, key)
            assert got["vpq"][window][ours]["n"] == (group["n"] if group else 0)
        for category, values in (row or {}).get("per_class", {}).items():
            for key, value in values.items():
                assert_same(got["vpq"][window]["classes"][category][key], value, window, category, key)
    for windows, row in expected["vpq_mean"].items():
        for ours, theirs in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
            assert_same(got["vpq_mean"][windows][ours]["pq"], row and row[theirs], windows, ours)
    score = expected["stq"]
    for ours, theirs in (("stq", "STQ"), ("aq", "AQ"), ("iou", "IoU")):
        assert_same(got["stq"][ours], score[theirs], theirs)
        for clip, value in zip(got["stq"]["clips"].values(), score[f"{theirs}_per_seq"], strict=True):
            assert_same(clip[ours], value, theirs)
        if "stq_vipseg_script" in got:
            assert_same(got["stq_vipseg_script"][ours], expected["stq_vipseg_script"][theirs], theirs)
    if "tubes_per_seq" in score:
        assert [clip["tubes"] for clip in got["stq"]["clips"].values()] == score["tubes_per_seq"]


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "sane"])
@pytest.mark.parametrize(
    "case",
    [
        case["name"]
        for case in INDEX
        if case["name"] not in PROBLEMS and case["name"] != "m04_truth_area_far_too_small"
    ]
    or [ABSENT],
)
def test_agrees_with_the_references(case: str, exact: bool) -> None:
    expected = reference(case)
    values = expected["exact"] if exact else {**expected["exact"], **expected.get("sane", {})}
    for form in FORMS.get(case, (".",)):
        assert_reference(answer(ROOT / case / form, exact), values)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "sane"])
@pytest.mark.parametrize("case", list(PROBLEMS) if INDEX else [ABSENT])
def test_lists_all_that_is_wrong(case: str, exact: bool) -> None:
    with pytest.raises(DataProblemsError) as caught:
        answer(ROOT / case, exact)
    assert len(caught.value.problems) == len(PROBLEMS[case])
    for problem, wanted in zip(caught.value.problems, PROBLEMS[case], strict=True):
        assert re.search(re.escape(wanted), problem)


@pytest.mark.skipif(not INDEX, reason="PANSIGHT_TEST_DATA is not set: the golden cases are not here")
class TestRepaired:
    def test_missing_frames_are_void_on_request(self) -> None:
        case = "v10_missing_frames"
        assert_reference(answer(ROOT / case, exact=False, missing="void"), reference(case)["sane"])

    def test_void_is_a_class_of_iou_0_in_exact_mode(self) -> None:
        case = "v10_missing_frames"
        got = answer(ROOT / case, exact=True, missing="void")["stq"]
        expected = reference(case)["sane"]["stq_void_counted_as_class"]
        for ours, theirs in (("stq", "STQ"), ("aq", "AQ"), ("iou", "IoU")):
            assert_same(got[ours], expected[theirs])

    def test_true_areas_that_are_too_small(self) -> None:
        case = "m04_truth_area_far_too_small"
        with pytest.raises(DataProblemsError, match="segment 2: its area in the JSON is smaller"):
            answer(ROOT / case, exact=True)
        values = {**reference(case)["exact"], **reference(case)["sane"]}
        assert_reference(answer(ROOT / case, exact=False), values)


def test_published_stq_examples(shared_data: Path) -> None:
    content = json.loads((shared_data / "golden" / "video" / "reference.json").read_text())["stq_published"]
    categories = Categories(
        [Category(name, name == "c0", i, (i, 0, 0)) for i, name in enumerate(("c0", "c1"))]
    )
    for example in content["examples"]:
        sides = []
        for side in ("truth", "prediction"):
            classes = np.array(example[side]["class"])
            ids = np.where(classes == 255, 0, 1 + 1000 * (1 + classes) + np.array(example[side]["instance"]))
            rows = {
                int(id): {
                    "id": int(id),
                    "category_id": int(category),
                    "iscrowd": int(category == 0 and id == 1001),
                    "area": 1,
                }
                for id, category in zip(ids.reshape(-1), classes.reshape(-1), strict=True)
                if id
            }
            sides.append((ids.reshape(1, -1), list(rows.values())))
        (truth, true_rows), (found, found_rows) = sides
        evaluation = VideoEvaluation(categories, exact=True)
        evaluation.start_clip("x")
        evaluation.add(pair_coco(found, found_rows, truth, true_rows, categories, False, Remarks()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvaluationWarning)
            score = evaluation.compute().tracking
        for ours, theirs in (("stq", "STQ"), ("aq", "AQ"), ("iou", "IoU")):
            assert_same(getattr(score, ours), example["float64"][theirs], example["example"])
