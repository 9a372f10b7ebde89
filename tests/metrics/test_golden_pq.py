"""The reference evaluator's unrounded answers, case by case; malformed cases become one clear error."""

import json
import os
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from pansight.categories import Categories
from pansight.errors import DataProblemsError
from pansight.formats.coco_files import read_ids, read_json
from pansight.metrics import EvaluationWarning, PanopticQuality, PanopticQualityResult, evaluate_coco

ROOT = Path(os.environ.get("PANSIGHT_TEST_DATA", "")) / "golden" / "pq"
CASES: list[dict[str, Any]] = (
    json.loads((ROOT / "index.json").read_text()) if os.environ.get("PANSIGHT_TEST_DATA") else []
)
ABSENT = pytest.param(
    "", marks=pytest.mark.skip("PANSIGHT_TEST_DATA is not set: the golden cases are not here")
)

values = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case["name"], marks=pytest.mark.slow if case["images"] > 100 else ())
        for case in CASES
        if case["expect"] == "value"
    ]
    or [ABSENT],
)
malformed = pytest.mark.parametrize(
    "case", [case["name"] for case in CASES if case["expect"] != "value"] or [ABSENT]
)

WARNINGS = {
    "b06_two_crowds_same_class": {"repeated crowd"},
    "b12_gt_area_disagrees": {"wrong area"},
    "b14_gt_png_id_not_in_json": {"unlisted id"},
    "b18_order_extra_duplicates": {"repeated image", "extra prediction"},
    "b24_unknown_gt_category": {"unknown category"},
}

# What each error must say, one item a problem.
PROBLEMS = {
    "m02_pred_unknown_category": ["pred/000001.png.*segment 6 has category_id 9999"],
    "m04_no_prediction_for_image": ["pred.json.*no prediction for image 2"],
    "m06_pred_png_missing": ["pred/000001.png.*no such file"],
    "m08_nothing_to_average": ["gt.json.*nothing to score"],
    "m10_gt_without_iscrowd": [f"gt/000001.png.*segment {id} lacks iscrowd" for id in (7, 5, 6)],
    "m12_pred_png_mode_P": ["pred/000001.png.*mode P "],
    "m14_pred_png_mode_I16": ["pred/000001.png.*mode I;16 "],
    "m16_empty_ground_truth": ["gt.json.*nothing to score"],
    "m18_many_problems": [
        "pred/000002.png.*4242 is in the PNG",
        "pred/000002.png.*55 is in segments_info",
        "pred/000003.png.*segment 6 has category_id 9999",
    ],
}


def assert_reference(result: PanopticQualityResult, case: str) -> None:
    expected = json.loads((ROOT / "reference.json").read_text())["cases"][case]
    form = result.to_json()
    for ours, theirs in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
        assert form[ours]["n"] == expected[theirs]["n"]
        for key in ("pq", "sq", "rq"):
            assert abs(form[ours][key] - expected[theirs][key]) <= 1e-12, (ours, key)
    assert set(form["classes"]) == set(expected["per_class"])
    for category_id, got in form["classes"].items():
        # The reference keeps no counts of a class without segments.
        counts = expected["counts"].get(category_id, {"tp": 0, "fp": 0, "fn": 0, "iou": 0.0})
        for key, value in (counts | expected["per_class"][category_id]).items():
            assert abs(got[key] - value) <= 1e-12, (category_id, key)


@values
def test_exact_values(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        result = evaluate_coco(ROOT / case / "gt.json", ROOT / case / "pred.json")
    assert_reference(result, case)
    assert {line.split(":")[0] for line in result.warnings} == WARNINGS.get(case, set())


@values
def test_any_order_in_parts_and_in_the_sane_mode(case: str) -> None:
    truth, prediction = read_json(ROOT / case / "gt.json"), read_json(ROOT / case / "pred.json")
    categories = Categories.from_json(truth["categories"])
    parts = [PanopticQuality(categories, exact=True) for _ in range(3)]
    sane = PanopticQuality(categories)
    predictions = {annotation["image_id"]: annotation for annotation in prediction["annotations"]}
    annotations = list(truth["annotations"])
    random.Random(3).shuffle(annotations)
    for position, annotation in enumerate(annotations):
        predicted = predictions[annotation["image_id"]]
        for quality in (parts[position % 3], sane):
            quality.update_coco(
                read_ids(ROOT / case / "pred" / predicted["file_name"]),
                predicted["segments_info"],
                read_ids(ROOT / case / "gt" / annotation["file_name"]),
                annotation["segments_info"],
            )
    for part in parts[1:]:
        parts[0].merge(part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        merged, measured = parts[0].compute(), sane.compute()
    assert_reference(merged, case)
    # Where nothing is odd in the data, the sane mode agrees to the last bit; in each odd case it differs.
    assert (measured.classes == merged.classes) == (not merged.warnings)


@malformed
def test_malformed_cases_list_every_problem(case: str) -> None:
    with pytest.raises(DataProblemsError) as caught:
        evaluate_coco(ROOT / case / "gt.json", ROOT / case / "pred.json")
    found = caught.value.problems
    assert len(found) == len(PROBLEMS[case]), found
    for pattern, problem in zip(PROBLEMS[case], found, strict=True):
        assert re.search(pattern, problem), problem
