"""`pansight data check` on sets that it once destroyed: labels are never lost without --force."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.formats.coco_files import read_ids

CASES = Path(__file__).parents[1] / "cases"


def content(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def segments(path: Path) -> list[list[int]]:
    return [[row["id"] for row in one["segments_info"]] for one in content(path)["annotations"]]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("A1b_zero_ids", "the panoptic PNGs are void: 15 of 15 listed segments have no pixels"),
        ("H7_wrong_masks", "15 of 15 listed segments have no pixels, and 15 ids"),
    ],
)
def test_json_and_pictures_that_do_not_belong_together_are_left_alone(
    case: str, words: str, pansight: Callable[..., Any], tmp_path: Path
) -> None:
    run = pansight("data", "check", CASES / case / "truth.json", "--fix", tmp_path / "fixed", "-j", 1)
    assert run.code == 2 and words in run.out and "labels-foreign" in run.out
    assert "nothing was fixed" in run.out and "--force" in run.out and "[fixed]" not in run.out
    assert not list((tmp_path).rglob("*.json"))
    told = pansight("data", "check", CASES / case / "truth.json", "-j", 1)
    assert told.code == 2 and "--fix FOLDER fixes" not in told.out


def test_force_does_what_was_asked_and_says_what_is_left_of_it(
    pansight: Callable[..., Any], tmp_path: Path
) -> None:
    truth = CASES / "H7_wrong_masks" / "truth.json"
    run = pansight("data", "check", truth, "--fix", tmp_path / "fixed", "--force", "-j", 1)
    assert run.code == 2 and "set without a segment that counts" in run.out
    assert segments(tmp_path / "fixed" / "truth.json") == [[], [], []]
    alone = pansight("data", "check", truth, "--force")
    assert alone.code == 2 and "--force goes with --fix" in alone.err


@pytest.mark.parametrize("in_place", [True, False])
def test_swapped_channels_are_restored(
    in_place: bool, pansight: Callable[..., Any], tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("A1h_bgr_ids")
    told = pansight("data", "check", case / "truth.json", "-j", 1)
    assert told.code == 2 and "BGR" in told.out and "segment-absent" not in told.out
    how = ("--in-place",) if in_place else ("--fix", tmp_path / "fixed")
    run = pansight("data", "check", case / "truth.json", *how, "-j", 1)
    assert run.code == 0 and "PQ 100.00" in run.out
    target = case if in_place else tmp_path / "fixed"
    good = CASES / "good"
    for number in (1, 2, 3):
        ids = read_ids(target / "truth" / f"p{number}.png")
        np.testing.assert_array_equal(ids, read_ids(good / "truth" / f"p{number}.png"))
    assert segments(target / "truth.json") == segments(good / "truth.json")


def test_ids_in_gray_saved_as_rgb_are_restored(
    pansight: Callable[..., Any], tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    for number in (1, 2, 3):
        path = case / "truth" / f"p{number}.png"
        gray = read_ids(path).astype(np.uint8)
        Image.fromarray(np.repeat(gray[..., None], 3, axis=2)).save(path)
    run = pansight("data", "check", case / "truth.json", "--fix", tmp_path / "fixed", "-j", 1)
    assert run.code == 0 and "gray saved as RGB" in run.out
    assert segments(tmp_path / "fixed" / "truth.json") == segments(case / "truth.json")


@pytest.mark.parametrize(
    ("case", "table", "code", "words"),
    [
        ("A3_no_isthing", "truth.json", 2, "isthing is missing"),
        ("A3_isthing_null", "truth.json", 2, "isthing is missing"),
        ("H5_datumaro_panoptic", "annotations/panoptic_default.json", 1, "have isthing 0"),
        ("H6_cvat_masks_crowd", "panoptic.json", 2, "4 crowds, no single object"),
        ("all_crowd", "panoptic_train.json", 2, "8 crowds, no single object"),
    ],
)
def test_nothing_is_joined_where_the_table_is_doubted(
    case: str, table: str, code: int, words: str, pansight: Callable[..., Any], tmp_path: Path
) -> None:
    run = pansight("data", "check", CASES / case / table, "--fix", tmp_path / "fixed", "-j", 1)
    assert run.code == code and words in run.out
    assert "nothing to fix here: see" in run.out
    fixed = tmp_path / "fixed" / Path(table).name
    assert segments(fixed) == segments(CASES / case / table)
    labels = (CASES / case / table).with_suffix("")
    for path in labels.glob("*.png"):
        np.testing.assert_array_equal(read_ids(fixed.with_suffix("") / path.name), read_ids(path))


def test_a_set_without_a_segment_that_counts_is_a_problem(pansight: Callable[..., Any]) -> None:
    empty = pansight("data", "check", CASES / "all_empty" / "panoptic_train.json", "-j", 1)
    assert empty.code == 2 and "nothing-counts" in empty.out
    crowds = pansight("data", "check", CASES / "H6_cvat_masks_crowd" / "panoptic.json", "-j", 1)
    assert crowds.code == 2 and "all 6 segments are crowds" in crowds.out


def test_stuff_in_many_pieces_is_joined_only_with_force(
    pansight: Callable[..., Any], tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    table = content(case / "truth.json")
    for one in table["annotations"]:
        path = case / "truth" / one["file_name"]
        ids = read_ids(path).copy()
        for number, column in enumerate(range(0, 64, 16), start=100):
            part = ids[:6, column : column + 16]
            part[part == 40] = number
            rows = {"id": number, "category_id": 4, "iscrowd": 0, "area": 96, "bbox": [column, 0, 16, 6]}
            one["segments_info"].append(rows)
        sky = next(row for row in one["segments_info"] if row["id"] == 40)
        sky.update(area=int((ids == 40).sum()), bbox=[0, 6, 64, 18])
        one["segments_info"][0]["area"] = 1
        colors = np.stack([ids & 255, ids >> 8, ids >> 16], axis=2).astype(np.uint8)
        Image.fromarray(colors).save(path)
    (case / "truth.json").write_text(json.dumps(table))
    run = pansight("data", "check", case / "truth.json", "--fix", tmp_path / "fixed", "-j", 1)
    assert run.code == 1 and "it would join 12 of 27 segments to others" in run.out
    assert segments(tmp_path / "fixed" / "truth.json") == segments(case / "truth.json")
    fixed = content(tmp_path / "fixed" / "truth.json")["annotations"]
    areas = [one["segments_info"][0]["area"] for one in fixed]
    assert areas == [224, 224, 224], "the rest is fixed all the same"
    forced = pansight("data", "check", case / "truth.json", "--fix", tmp_path / "all", "--force", "-j", 1)
    assert forced.code == 0
    assert [len(ids) for ids in segments(tmp_path / "all" / "truth.json")] == [5, 5, 5]
