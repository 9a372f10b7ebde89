"""`pansight bench`: every figure that it promises, for engines that take turns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.bench.stages import STAGES


def test_all_figures(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"bench.{name}" for name in ("json", "md", "png")}
    run = pansight(
        *("bench", "--model", small_weights, "--engine", "eager,torch", "--size", "64x96", "--runs", 3),
        *("--warm-up", 1, "--batch", 2, "--threads", 1, "--no-start-up"),
        *("--json", files["json"], "--markdown", files["md"], "--plot", files["png"]),
    )
    assert run.code == 0, run.err
    found = json.loads(files["json"].read_text())
    rows = found["rows"]
    assert [(row["model"], row["engine"], row["precision"]) for row in rows] == [
        ("small", "eager", "float32"),
        ("small", "torch", "float32"),
    ]
    for row in rows:
        assert row["size"] == [64, 96] and row["threads"] == 1
        assert set(row["stages"]) == set(STAGES)
        for times in (*row["stages"].values(), row["total"]):
            assert 0 <= times["p50"] <= times["p95"] <= times["max"]
        parts = sum(row["stages"][name]["p50"] for name in ("preprocess", "network", "merge", "map"))
        assert row["total"]["max"] >= 0.5 * parts > 0
        assert row["macs"] == rows[0]["macs"] > 1e6
        assert 0 < row["share_of_peak"] < 1.5
        assert row["images_per_second"] > 0 and row["batch"] == 2
        assert row["peak_memory_mb"] is None
    assert rows[0]["ratio"] == 1
    assert found["roofline"]["gmacs_per_second"] > 0 and found["roofline"]["gigabytes_per_second"] > 0
    assert files["md"].read_text() == run.out
    assert "| small | torch | float32 | 64x96 |" in run.out
    assert np.asarray(Image.open(files["png"])).shape == (800, 1200, 3)


RIVAL = """
import torch
from pansight.panoptic import PanopticBatch
from pansight.zoo.presets import preset


class Still:
    max_batch, device, spec = None, "cpu", preset("yoso-tiny")

    def __call__(self, frames, sizes=None):
        height, width = frames[0].shape[:2]
        ids = torch.ones(len(frames), height, width, dtype=torch.int32)
        table = torch.zeros(len(frames), 1, dtype=torch.int32)
        return PanopticBatch(ids, table, table.float(), table + height * width)


def absent():
    import no_such_library


ENGINES = {"still": Still, "absent": absent}
"""


def test_rivals_take_turns_with_ours(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path
) -> None:
    adapter, file = tmp_path / "others.py", tmp_path / "bench.json"
    adapter.write_text(RIVAL)
    ours: tuple[Any, ...] = ("bench", "--model", small_weights, "--size", "64x96", "--threads", 1)
    ours = (*ours, "--runs", 2, "--no-start-up")
    run = pansight(*ours, "--rival", f"{adapter}:still", "--json", file)
    assert run.code == 0, run.err
    rows = json.loads(file.read_text())["rows"]
    assert [(row["model"], row["engine"]) for row in rows] == [("small", "torch"), ("still", "rival")]
    assert rows[1]["total"]["p50"] > 0 and rows[1]["macs"] is None
    for name, message in (
        (f"{adapter}:other", "has no other; it has still, absent"),
        (f"{adapter}:absent", "needs no_such_library, which Pansight does not depend on"),
        (f"{tmp_path}/none.py:still", "no such file; adapters are in benchmarks/rivals"),
        ("still", "write FILE.py:NAME"),
    ):
        run = pansight(*ours, "--rival", name)
        assert run.code != 0 and message in run.err, name


def test_start_up_and_memory_are_of_a_process_of_their_own(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    run = pansight(
        *("bench", "--model", small_weights, "--size", "64x96", "--runs", 1, "--warm-up", 0),
        *("--threads", 1, "--json", file),
    )
    assert run.code == 0, run.err
    (row,) = json.loads(file.read_text())["rows"]
    assert row["start_up_seconds"] > 0.3
    assert 100 < row["peak_memory_mb"] < 5000


def test_refusals(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--engine", "caffe"), "engine 'caffe' is unknown"),
        (("--precision", "int4"), "torch has no int4 engine"),
        (("--size", "wide"), "write HEIGHTxWIDTH"),
        (("--random-weights",), "is not a named model"),
        (("--engine", "onnxruntime", "--precision", "int8"), "export one, and give"),
        (("--json", tmp_path), "it is a folder; name a file in it"),
        (("--plot", tmp_path), "it is a folder; name a file in it"),
    ):
        run = pansight("bench", "--model", small_weights, *arguments)
        assert run.code == 2 and message in run.err, run.err


def test_quality_is_that_of_the_model_s_own_size(
    pansight: Callable[..., Any], small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever size the network was timed at: `predict` and `evaluate` resize by the model's own rule."""
    from pansight.export import scoring

    sides: list[int | None] = []

    def score(engine: Any, samples: Any) -> scoring.Score:
        sides.append(engine.spec.preprocess.short)
        return scoring.Score(50.0, len(samples))

    monkeypatch.setattr(scoring, "score_samples", score)
    arguments = ("bench", "--model", small_weights, "--runs", 1, "--warm-up", 0, "--no-start-up")
    for more in ((), ("--resize", "none")):
        run = pansight(*arguments, "--data", "scenes", "--limit", 1, *more)
        assert run.code == 0, run.err
    assert sides == [64, None]
