"""`pansight demo`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.cli.demo import SIZE
from pansight.models.yoso import YOSO
from pansight.runtime import segmenter
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene


@pytest.fixture
def untrained(small_scenes_model: YOSO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever model is loaded, it is the small one."""

    def load(name: str, **options: Any) -> Segmenter:
        assert name in ("yoso-tiny", "panoptic-fcn-photo")
        mode = "eager" if options.pop("engine") == "eager" else "folded"
        return Segmenter(TorchEngine(small_scenes_model, mode=mode, **options))  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "load", load)


@pytest.mark.usefixtures("untrained")
def test_scenes_and_own_pictures(pansight: Callable[..., Any], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "own.png")
    out = tmp_path / "out"
    run = pansight("demo", tmp_path / "own.png", "--count", 2, "--seed", 5, "--device", "cpu", "-o", out)
    assert (run.code, run.err) == (0, "")
    first, quality, speed, last = run.out.splitlines()
    assert "2 scenes of 512 x 384" in first
    assert quality.startswith("panoptic quality ")
    assert " images a second" in speed and "PyTorch as trained: " in speed
    assert str(out / "contact-sheet.jpg") in last
    names = sorted(path.name for path in (out / "overlays").iterdir())
    assert names == ["own.jpg", "scene-5-000000.jpg", "scene-5-000001.jpg"]
    assert Image.open(out / "overlays/own.jpg").size == (40, 30)
    height, width = SIZE
    with Image.open(out / "contact-sheet.jpg") as sheet:
        assert sheet.width > 3 * width
        assert sheet.height > 2 * height
        pixels = np.asarray(sheet).astype(int)
    # the first scene's picture is somewhere in the sheet's left column, as it is
    scene = render_scene(5, 0, height, width).image.astype(int)
    offsets = [(y, x) for y in range(120) for x in range(60)]
    best = min(
        np.abs(pixels[y : y + height : 16, x : x + width : 16] - scene[::16, ::16]).mean() for y, x in offsets
    )
    assert best < 12


@pytest.mark.usefixtures("untrained")
def test_a_bad_picture_is_told(pansight: Callable[..., Any], tmp_path: Path) -> None:
    run = pansight("demo", tmp_path / "gone.png", "--count", 1, "-o", tmp_path / "out")
    assert run.code == 1
    assert run.failed == [f"{tmp_path / 'gone.png'}: no such file; check the path"]
    assert (tmp_path / "out/contact-sheet.jpg").is_file()


def test_the_scenes_that_the_model_was_trained_on_are_not_shown(pansight: Callable[..., Any]) -> None:
    assert pansight("demo", "--seed", 0).code == 2
