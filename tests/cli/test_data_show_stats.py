"""`pansight data show` and `pansight data stats` as people type them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.panoptic.ids import ids_to_rgb


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A set of six pictures; the dog is in two of them."""
    root = tmp_path / "few"
    (root / "images" / "val").mkdir(parents=True)
    (root / "panoptic_val").mkdir()
    annotations = []
    for number in range(6):
        ids = np.full((48, 64), 2, np.int32)
        ids[10 + number : 30, 5:40] = 1
        ids[:4] = 0
        Image.fromarray(ids_to_rgb(ids)).save(root / "panoptic_val" / f"{number}.png")
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / "val" / f"{number}.png")
        segments = [{"id": 1, "category_id": 5 if number in (1, 4) else 3}, {"id": 2, "category_id": 9}]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
    table = [
        {"id": id, "name": name, "isthing": thing}
        for id, name, thing in ((3, "cat", 1), (5, "dog", 1), (9, "grass", 0), (11, "sea", 0))
    ]
    content = {"annotations": annotations, "categories": table}
    (root / "panoptic_val.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("options", [("show", "-o"), ("stats", "--plot")])
def test_pictures_need_a_format(
    pansight: Callable[..., Any], tmp_path: Path, few: Path, options: tuple[str, str]
) -> None:
    run = pansight("data", options[0], few, options[1], tmp_path / "sheet.nonsense")
    assert run.code == 2
    assert run.err.endswith("sheet.nonsense: .nonsense is not an image format; use .png or .jpg\n")


def test_show(pansight: Callable[..., Any], tmp_path: Path, few: Path) -> None:
    run = pansight("data", "show", few, "-o", tmp_path / "sheet", "--count", 4, "--width", 64)
    assert run.code == 0 and "4 of 6 samples" in run.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB" and sheet.width > 2 * 64
        first = np.asarray(sheet)
    pansight("data", "show", few, "-o", tmp_path / "again.png", "--count", 4, "--width", 64)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "again.png")), first)
    pansight("data", "show", few, "-o", tmp_path / "other.png", "-n", 4, "--width", 64, "--seed", 3)
    other = np.asarray(Image.open(tmp_path / "other.png"))
    assert other.shape != first.shape or not np.array_equal(other, first)


def test_show_of_a_category(pansight: Callable[..., Any], tmp_path: Path, few: Path) -> None:
    sheet = tmp_path / "sheet.png"
    run = pansight("data", "show", few, "-o", sheet, "--category", "dog", "--side-by-side")
    assert run.code == 0 and "2 of 6 samples" in run.out and sheet.exists()
    unknown = pansight("data", "show", few, "-o", tmp_path / "no.png", "--category", "unicorn")
    assert unknown.code == 2 and "unicorn" in unknown.err and not (tmp_path / "no.png").exists()


def test_stats(pansight: Callable[..., Any], tmp_path: Path, few: Path) -> None:
    run = pansight("data", "stats", few, "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png", "-j", 1)
    assert run.code == 0 and "6 images" in run.out and "image sizes: 64 x 48 (6)" in run.out
    content = json.loads((tmp_path / "s.json").read_text())
    pixels = sum(one["pixels"] for one in content["classes"].values())
    assert pixels == round((1 - content["void_share"]) * 6 * 48 * 64)
    with Image.open(tmp_path / "s.png") as plot:
        assert plot.width > 300
    assert "dog    thing         2       2" in run.out and "without any segment: sea" in run.out


def test_broken_samples_are_named_and_the_rest_is_shown(
    pansight: Callable[..., Any], tmp_path: Path, few: Path
) -> None:
    (few / "images" / "val" / "3.png").write_text("no picture")
    run = pansight("data", "show", few, "-o", tmp_path / "sheet.png", "--width", 64)
    assert run.code == 1 and "5 of 6 samples" in run.out
    assert len(run.failed) == 1 and "3.png" in run.failed[0]
    for number in range(6):
        (few / "images" / "val" / f"{number}.png").write_text("no picture")
    run = pansight("data", "show", few, "-o", tmp_path / "none.png", "--width", 64)
    assert run.code == 2 and not (tmp_path / "none.png").exists()


def test_counting_stops_at_what_cannot_be_read(pansight: Callable[..., Any], few: Path) -> None:
    (few / "panoptic_val" / "3.png").write_text("no picture")
    run = pansight("data", "stats", few, "-j", 1)
    assert run.code == 2 and "3.png" in run.err and "pansight data check" in run.err
