"""Ctrl-C of verbs that compute: one line on what is left, code 130; COCO instances cannot be trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Pansight = Callable[..., Any]

CASES = Path(__file__).parents[1] / "cases"


def stop(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_evaluate_of_files(pansight: Pansight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pansight.cli.evaluate_files.pair_files", stop)
    truth = CASES / "good" / "truth.json"
    run = pansight("evaluate", truth, truth, "--json", tmp_path / "x.json")
    assert (run.code, run.err) == (130, "stopped by Ctrl-C; nothing was scored\n")
    assert not list(tmp_path.iterdir())


def test_demo(pansight: Pansight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pansight.runtime.segmenter.load", stop)
    run = pansight("demo", "-o", tmp_path / "out")
    assert (run.code, run.err) == (130, "stopped by Ctrl-C; nothing was written\n")


def test_training_on_coco_instances_says_what_to_do(pansight: Pansight, tmp_path: Path) -> None:
    run = pansight("train", "yoso-tiny", "--data", CASES / "H1_cvat_export", "--output", tmp_path / "run")
    assert run.code == 2
    assert run.err.count("\n") == 1
    assert "COCO instances: run `pansight data convert " in run.err
    assert not (tmp_path / "run").exists()
