"""`pansight evaluate --video`: the figures, the file, what it says when it cannot."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = "golden/video"


def test_figures_are_written(pansight: Callable[..., Any], shared_data: Path, tmp_path: Path) -> None:
    case, out = shared_data / GOLDEN / "v12_random", tmp_path / "scores.json"
    run = pansight("evaluate", "--video", case / "gt.json", case / "pred.json", "--json", out, "--classes")
    assert run.code == 0, run.err
    expected = json.loads((shared_data / GOLDEN / "reference.json").read_text())["cases"]["v12_random"][
        "exact"
    ]
    got = json.loads(out.read_text())
    for window in ("1", "2", "3", "4", "6", "8"):
        for ours, theirs in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
            assert got["vpq"][window][ours]["pq"] == pytest.approx(
                expected["vpq"][window][theirs]["pq"], abs=1e-12
            )
    for ours, theirs in (("stq", "STQ"), ("aq", "AQ"), ("iou", "IoU")):
        assert got["stq"][ours] == pytest.approx(expected["stq"][theirs], abs=1e-12)
    assert got["id_switches"] == 4 and got["mode"] == "sane"
    assert "mean of 1, 2, 4, 6" in run.out and "r2" in run.out


def test_modes_differ(pansight: Callable[..., Any], shared_data: Path, tmp_path: Path) -> None:
    case, out = shared_data / GOLDEN / "v07_come_and_go", tmp_path / "scores.json"
    values = {}
    for mode in ("--exact", "--sane"):
        assert (
            pansight("evaluate", "--video", case / "gt.json", case / "pred.json", mode, "--json", out).code
            == 0
        )
        values[mode] = json.loads(out.read_text())
    assert values["--exact"]["stq"]["iou"] < values["--sane"]["stq"]["iou"]
    assert "stq_vipseg_script" in values["--exact"]


def test_missing_frames(pansight: Callable[..., Any], shared_data: Path, tmp_path: Path) -> None:
    case, out = shared_data / GOLDEN / "v10_missing_frames", tmp_path / "scores.json"
    files = (case / "gt.json", case / "pred.json", "--json", out)
    run = pansight("evaluate", "--video", *files)
    assert run.code == 2 and run.err.count("no prediction for frame") == 2 and not out.exists()
    assert pansight("evaluate", "--video", *files, "--missing", "void").code == 0 and out.exists()
    assert "use error or void" in pansight("evaluate", "--video", *files, "--missing", "what").err


def test_options_of_images_are_refused(pansight: Callable[..., Any], shared_data: Path) -> None:
    case = shared_data / GOLDEN / "v01_perfect"
    for option in ("--boundary", "--ap"):
        run = pansight("evaluate", "--video", case / "gt.json", case / "pred.json", option)
        assert run.code == 2 and option in run.err and "not of videos" in run.err
    run = pansight("evaluate", case / "gt.json", case / "pred.json", "--missing", "void")
    assert run.code == 2 and "only with --video" in run.err


def test_without_torch(shared_data: Path) -> None:
    case = shared_data / GOLDEN / "v01_perfect"
    files = [str(case / "gt.json"), str(case / "pred.json")]
    code = (
        "import sys; sys.modules['torch'] = None; from pansight.cli.main import run; "
        f"sys.argv = ['pansight', 'evaluate', '--video', *{files!r}]; run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout
