"""`pansight export`: files that `predict` runs, and refusals that say why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.cli.export import default_title
from pansight.export.parity import canary

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _traced(unchecked_shapes: None) -> None:
    """While a graph is traced, sizes are tensors, which annotations do not allow for."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(canary((60, 90))).save(path)
    return path


def test_exported_compared_and_run(
    pansight: Command, small_weights: Path, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out" / "model.onnx"
    run = pansight("export", small_weights, "--to", "onnx", "--output", file, "--images", photo)
    assert run.code == 0, run.err
    assert "of 1 images have torch's ids" in run.out and "network cut for onnx, float32" in run.out
    assert [one.name for one in file.parent.iterdir()] == ["model.onnx"]
    maps = []
    for model in (file, small_weights):
        folder = tmp_path / f"maps-{model.suffix}"
        run = pansight("predict", photo, "--model", model, "--output", folder, "--format", "coco")
        assert run.code == 0, run.err
        maps.append(np.asarray(Image.open(next((folder / "predictions").glob("*.png")))))
    assert np.mean(np.any(maps[0] != maps[1], axis=-1)) < 1e-2


def test_no_export_takes_another_s_name() -> None:
    assert default_title("yoso-tiny", "network", "float32", None) == "yoso-tiny"
    assert default_title("yoso-tiny", "whole", "int8", "192x256") == "yoso-tiny-whole-int8-192x256"


def test_a_whole_model_is_run_by_predict(
    pansight: Command, small_weights: Path, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "whole.onnx"
    run = pansight(
        *("export", small_weights, "--cut", "whole", "--output", file, "--images", photo),
        *("--set", "merge.object_threshold=0.0", "--set", "merge.budget=10"),
    )
    assert run.code == 0, run.err
    assert "whole cut for onnx, float32" in run.out
    maps = []
    for model in (file, small_weights):
        folder = tmp_path / f"maps-{model.suffix}"
        run = pansight(
            *("predict", photo, "--model", model, "--output", folder, "--format", "coco"),
            *("--set", "merge.object_threshold=0.0"),
        )
        assert run.code == 0, run.err
        maps.append(np.asarray(Image.open(next((folder / "predictions").glob("*.png")))))
    assert maps[0].any() and np.mean(np.any(maps[0] != maps[1], axis=-1)) < 1e-2
    run = pansight("predict", photo, "--model", file, "--set", "merge.budget=5", "--output", tmp_path / "x")
    assert run.code == 2 and "merge.budget is 10 in this file" in run.err


def test_int8_that_loses_too_much_is_not_written(
    pansight: Command, small_weights: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansight.export import scoring

    scores = iter([scoring.Score(pq, 4) for pq in (50.0, 48.9, 50.0, 49.1)])
    monkeypatch.setattr(scoring, "score_samples", lambda *_: next(scores))
    file = tmp_path / "model.onnx"
    given: tuple[Any, ...] = ("export", small_weights, "--output", file, "--precision", "int8")
    given = (*given, "--calibrate", photo.parent, "--limit", 1)
    run = pansight(*given)
    assert run.code == 2, run.err
    assert "int8 loses 1.10 PQ on scenes (50.00 to 48.90), more than --max-drop 1" in run.err
    assert not file.exists()
    run = pansight(*given)
    assert run.code == 0, run.err
    assert "torch 50.00, this file 49.10" in run.out and file.is_file()


def test_nothing_is_kept_that_says_something_else(
    pansight: Command,
    small_weights: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pansight.export import verification

    found = verification.Verification([0.5], 3)
    monkeypatch.setattr(verification, "verify", lambda *_: found)
    file = tmp_path / "model.onnx"
    run = pansight("export", small_weights, "--output", file, "--images", photo)
    assert run.code == 2 and "the file's maps differ from torch's" in run.err
    assert not file.exists()
    run = pansight("export", small_weights, "--output", file, "--no-verify")
    assert run.code == 0 and file.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a MODEL to export"),
        (("yoso-tiny",), "choose a target: --to onnx"),
        (("yoso-tiny", "--to", "coreml"), "--to coreml is unknown; use onnx or openvino"),
        (("yoso-tiny", "--to", "onnx", "--output", "x.xml"), "x.xml must end in .onnx"),
        (("yoso-tiny", "--to", "onnx", "--size", "100x100"), "multiples of 32; use 128x128"),
        (("yoso-tiny", "--to", "onnx", "--size", "big"), "write HEIGHTxWIDTH"),
        (("yoso-tiny", "--to", "torch", "--precision", "int8"), "cannot be exported to torch"),
        (("yoso-tiny", "--to", "onnx", "--cut", "half"), "--cut half is unknown"),
        (("yoso-tiny", "--to", "onnx", "--cut", "whole", "--precision", "float16"), "which needs more bits"),
        (("dense-tiny", "--to", "onnx", "--cut", "whole"), "give the size of the input (--size 512x800)"),
        (("yoso-tiny", "--to", "onnx", "--precision", "int8"), "--calibrate FOLDER_OR_JSON"),
    ],
)
def test_refusals(pansight: Command, arguments: tuple[str, ...], message: str) -> None:
    run = pansight("export", *arguments)
    assert run.code == 2 and message in run.err


def test_the_table(pansight: Command) -> None:
    run = pansight("export", "--list")
    lines = run.out.splitlines()
    assert len([line for line in lines if line.startswith(("yoso", "dense", "panoptic", "epsnet"))]) == 96
    assert any("blocked" in line and "which needs more bits" in line for line in lines)
    assert any("validated" in line for line in lines)
