"""`pansight evaluate` on files that scored silently wrong, or drowned the cause in lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[1] / "cases"
Pansight = Callable[..., Any]


def score(path: Path) -> float:
    return float(json.loads(path.read_text())["all"]["pq"])


def test_another_numbering_is_remarked_on_and_can_be_matched_by_name(
    pansight: Pansight, tmp_path: Path
) -> None:
    case = CASES / "F3_other_numbering"
    files = (case / "truth.json", case / "pred.json", "--json", tmp_path / "score.json")
    run = pansight("evaluate", *files)
    assert run.code == 0 and "other numbering" in run.err and "--match-categories name" in run.err
    assert "id 2 is 'car' there, 'person' in the truth" in run.err
    assert score(tmp_path / "score.json") == 0.5
    run = pansight("evaluate", *files, "--match-categories", "name")
    assert run.code == 0 and "other numbering" not in run.err
    assert score(tmp_path / "score.json") == 1.0
    wrong = pansight("evaluate", *files, "--match-categories", "colour")
    assert wrong.code == 2 and "use id or name" in wrong.err


def test_a_predicted_name_that_the_truth_lacks_is_named(
    pansight: Pansight, copied: Callable[[str], Path]
) -> None:
    case = copied("F3_other_numbering")
    content = json.loads((case / "pred.json").read_text())
    next(row for row in content["categories"] if row["name"] == "car")["name"] = "lorry"
    (case / "pred.json").write_text(json.dumps(content))
    run = pansight("evaluate", case / "truth.json", case / "pred.json", "--match-categories", "name")
    assert run.code == 2 and "category_id 'lorry', which" in run.err


def test_swapped_files_are_remarked_on(pansight: Pansight, copied: Callable[[str], Path]) -> None:
    case = copied("good")
    content = json.loads((case / "pred.json").read_text())
    for one in content["annotations"]:
        for row in one["segments_info"]:
            row["score"] = 0.5
    (case / "pred.json").write_text(json.dumps(content))
    assert "swapped" not in pansight("evaluate", case / "truth.json", case / "pred.json").err
    run = pansight("evaluate", case / "pred.json", case / "truth.json")
    assert run.code == 0 and "scores in the truth" in run.err and "are the two files swapped?" in run.err


def test_one_missing_key_in_many_images_is_one_problem(
    pansight: Pansight, tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    for name in ("truth", "pred"):
        content = json.loads((case / f"{name}.json").read_text())
        image, annotation = content["images"][0], content["annotations"][0]
        content["images"] = [{**image, "id": number} for number in range(1000)]
        rows = [{key: row[key] for key in row if key != "iscrowd"} for row in annotation["segments_info"]]
        content["annotations"] = [
            {**annotation, "image_id": number, "segments_info": rows} for number in range(1000)
        ]
        (case / f"{name}.json").write_text(json.dumps(content))
    truth = case / "truth.json"
    run = pansight("evaluate", truth, case / "pred.json", "--json", tmp_path / "problems.json")
    assert run.code == 2 and run.out == ""
    lines = run.err.splitlines()
    assert lines[0] == "error: 5000 problems found; nothing was scored"
    assert len(lines) == 9 and sum("lacks iscrowd" in line for line in lines) == 5
    assert lines[6] == "  ... and 4,995 more of this kind"
    assert str(tmp_path / "problems.json") in lines[7]
    assert f"pansight data check {truth} --fix FOLDER" in lines[8]
    written = json.loads((tmp_path / "problems.json").read_text())
    assert len(written["problems"]) == 5000 and written["scored"] is False
    short = pansight("evaluate", truth, case / "pred.json")
    assert "--json FILE writes all of them" in short.err


@pytest.mark.parametrize("name", ["folder", "win", "noext", "jpgname"])
def test_id_pictures_are_found_however_they_are_named(name: str, pansight: Pansight, tmp_path: Path) -> None:
    case = CASES / "F8_names"
    folder = case if name in ("folder", "win") else case / "pred"
    output = ("--json", tmp_path / "score.json")
    files = (case / "truth.json", case / f"{name}.json", "--prediction-masks", folder)
    run = pansight("evaluate", *files, *output)
    assert run.code == 0, run.err
    assert score(tmp_path / "score.json") > 0.9


def test_where_a_panoptic_png_lies_is_told(pansight: Pansight) -> None:
    case = CASES / "F8_names"
    for name in ("folder", "win"):
        run = pansight(
            "evaluate", case / "truth.json", case / f"{name}.json", "--prediction-masks", case / "pred"
        )
        assert run.code == 2 and f"p1.png lies in {case / 'pred'}: list file names relative to" in run.err


def test_crowds_as_text_are_read_as_everywhere(pansight: Pansight, tmp_path: Path) -> None:
    truth = CASES / "iscrowd_text" / "panoptic_val.json"
    run = pansight("evaluate", truth, truth, "--json", tmp_path / "score.json")
    assert run.code == 0 and score(tmp_path / "score.json") == 1.0 and "iscrowd '0', a string" in run.err
    stats = pansight("data", "stats", truth, "--json", tmp_path / "stats.json", "-j", 1)
    assert stats.code == 0
    classes = json.loads((tmp_path / "stats.json").read_text())["classes"]
    assert classes and sum(one["crowd"] for one in classes.values()) == 0


def test_nonsense_for_iscrowd_is_refused_by_its_value(
    pansight: Pansight, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    content = json.loads((case / "truth.json").read_text())
    content["annotations"][0]["segments_info"][0]["iscrowd"] = "no"
    (case / "truth.json").write_text(json.dumps(content))
    for verb in (
        ("evaluate", case / "truth.json", case / "pred.json"),
        ("data", "stats", case / "truth.json"),
    ):
        run = pansight(*verb)
        assert run.code == 2 and "segment 11: iscrowd is 'no', which is neither 0 nor 1" in run.err


def test_categories_in_an_object_are_refused_alike(pansight: Pansight, copied: Callable[[str], Path]) -> None:
    case = copied("good")
    content = json.loads((case / "truth.json").read_text())
    content["categories"] = {str(row["id"]): row for row in content["categories"]}
    (case / "truth.json").write_text(json.dumps(content))
    check = pansight("data", "check", case / "truth.json", "-j", 1)
    assert check.code == 2 and "categories is an object, where a list belongs" in check.out
    assert pansight("evaluate", case / "truth.json", case / "pred.json").code == 2
    stats = pansight("data", "stats", case / "truth.json")
    assert stats.code == 2 and '"categories" is not a list' in stats.err


def test_a_null_isthing_is_named(pansight: Pansight) -> None:
    run = pansight("data", "stats", CASES / "A3_isthing_null" / "truth.json")
    assert (
        run.code == 2 and "isthing is null, which is neither 1 (a thing, countable) nor 0 (stuff)" in run.err
    )


def test_missing_sizes_are_the_only_complaint(pansight: Pansight, copied: Callable[[str], Path]) -> None:
    case = copied("H1_cvat_export")
    file = case / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    content["images"] = [{"id": row["id"], "file_name": row["file_name"]} for row in content["images"]]
    file.write_text(json.dumps(content))
    run = pansight("data", "convert", file, case / "out")
    assert run.code == 2 and "needs id, file_name, height and width" in run.err
    assert "no images in it" not in run.err


def test_addresses_are_no_files(pansight: Pansight) -> None:
    run = pansight("predict", "https://example.com/a.jpg")
    assert run.code == 2 and "https://example.com/a.jpg: URLs are not read; download it" in run.err
