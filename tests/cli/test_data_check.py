"""`pansight data check` as people type it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.panoptic.ids import ids_to_rgb

TABLE = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 2, "name": "[red]rug[/]", "isthing": 0},
]


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A healthy set of two images in tmp_path/set; write it with `save`."""
    root = tmp_path / "set"
    (root / "images" / "val").mkdir(parents=True)
    (root / "panoptic_val").mkdir()
    ids = np.full((10, 12), 2, np.int32)
    ids[2:5, 3:7] = 1
    annotations = []
    for number in range(2):
        Image.fromarray(ids_to_rgb(ids)).save(root / "panoptic_val" / f"{number}.png")
        noise = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / "val" / f"{number}.png")
        annotations.append(
            {
                "image_id": number,
                "file_name": f"{number}.png",
                "segments_info": [
                    {"id": 1, "category_id": 1, "iscrowd": 0, "area": 12, "bbox": [3, 2, 4, 3]},
                    {"id": 2, "category_id": 2, "iscrowd": 0, "area": 108, "bbox": [0, 0, 12, 10]},
                ],
            }
        )
    images = [{"id": n, "file_name": f"{n}.png", "width": 12, "height": 10} for n in range(2)]
    return {"images": images, "annotations": annotations, "categories": TABLE}


@pytest.fixture
def check(tmp_path: Path, content: dict[str, Any], pansight: Callable[..., Any]) -> Callable[..., Any]:
    """Write the set and check it."""

    def run(*options: object) -> Any:
        (tmp_path / "set" / "panoptic_val.json").write_text(json.dumps(content))
        return pansight("data", "check", tmp_path / "set", *options)

    return run


def row(content: dict[str, Any], image: int, position: int) -> dict[str, Any]:
    found = content["annotations"][image]["segments_info"][position]
    assert isinstance(found, dict)
    return found


def test_a_healthy_set(check: Callable[..., Any]) -> None:
    run = check()
    assert run.code == 0 and run.err == ""
    assert "PQ 100.00 (2 images)" in run.out
    assert run.out.splitlines()[-1] == "2 images, 4 segments: no problems"


def test_warnings_and_errors_have_their_exit_codes(
    check: Callable[..., Any], content: dict[str, Any], tmp_path: Path
) -> None:
    row(content, 1, 0)["bbox"] = []
    run = check()
    assert run.code == 1 and "1 warning; --fix FOLDER fixes 1 cases" in run.out
    row(content, 0, 1)["area"] = 7
    run = check("--json", tmp_path / "report.json")
    lines = run.out.splitlines()
    at = lines.index(str(tmp_path / "set" / "panoptic_val" / "0.png"))
    assert (
        lines[at + 1]
        == "  error: area that differs from the pixels: segment 2: 7, pixels 108 [fixable with --fix]"
    )
    assert run.code == 2 and "[x, y, width, height]" in run.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["worst"] == "error" and report["counts"]["area-wrong"] == 1
    assert {problem["kind"] for problem in report["problems"]} == {"area-wrong", "box-wrong", "self-score"}


def test_fix_writes_a_fixed_copy(
    check: Callable[..., Any], content: dict[str, Any], tmp_path: Path, pansight: Callable[..., Any]
) -> None:
    del content["annotations"][0]["segments_info"][0]
    row(content, 1, 0)["area"] = 1
    target = tmp_path / "fixed"
    run = check("--fix", target)
    assert run.code == 0 and "[fixed]" in run.out and f"see {target}" in run.out
    again = pansight("data", "check", target, "--images", tmp_path / "set" / "images" / "val")
    assert again.code == 0 and "no problems" in again.out
    refused = check("--fix", target)
    assert refused.code == 2 and "already exists" in refused.err and refused.err.count("\n") == 1


def test_in_place_must_be_said(check: Callable[..., Any], content: dict[str, Any], tmp_path: Path) -> None:
    row(content, 0, 0)["area"] = 3
    assert check("--fix", tmp_path / "x", "--in-place").code == 2
    assert check("--in-place").code == 0
    fixed = json.loads((tmp_path / "set" / "panoptic_val.json").read_text())
    assert row(fixed, 0, 0)["area"] == 12


def test_only_some_files_are_listed(check: Callable[..., Any], content: dict[str, Any]) -> None:
    for image in range(2):
        row(content, image, 0)["area"] = 3
    run = check("--limit", 1)
    assert "... and 2 more files" in run.out and "area that differs from the pixels (area-wrong)" in run.out
    assert "more files" not in check("--limit", 0).out


def test_what_is_no_data_set(pansight: Callable[..., Any], tmp_path: Path) -> None:
    run = pansight("data", "check", tmp_path)
    assert run.code == 2 and run.err.startswith("error: ") and run.err.count("\n") == 1
    broken = tmp_path / "panoptic_val.json"
    broken.write_text("{")
    run = pansight("data", "check", broken)
    assert run.code == 2 and "JSON that cannot be used" in run.out
    missing = pansight("data", "check", tmp_path / "no.json")
    assert missing.code == 2


def test_synthetic_scenes_are_healthy(pansight: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from pansight.data import opening
    from pansight.scenes import SceneDataset

    monkeypatch.setattr(opening, "open_dataset", lambda *_, **__: SceneDataset(1, (32, 32), 3))
    run = pansight("data", "check", "scenes")
    assert run.code == 0 and "3 images" in run.out and "PQ 100.00" in run.out
    refused = pansight("data", "check", "scenes", "--fix", "somewhere")
    assert refused.code == 2 and "can be fixed" in refused.err


def test_raw_layouts_are_checked_whole(
    pansight: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    place = shared_data / "data" / "formats" / "mapillary" / "layout_v1.2_v2.0"
    run = pansight("data", "check", place, "--json", tmp_path / "report.json", "-j", 1)
    scores = json.loads((tmp_path / "report.json").read_text())["scores"]
    assert [score["pq"] for score in scores] == [1.0] * len(scores) and len(scores) >= 2
    assert run.code == 1 and "the same image twice" in run.out  # the dummies are all alike
