"""`pansight tune` as people type it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pansight.cli import main as _main  # the verbs are imported once, before a test is timed
from pansight.data.opening import open_dataset
from pansight.models.yoso import YOSO
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.training.tuning.cached import CachedOutputs
from pansight.zoo.header import read_header
from pansight.zoo.native import read_tensors
from pansight.zoo.registry import load_model

assert _main


def test_settings_are_found_and_written_into_the_checkpoint(
    pansight: Callable[..., object], small_weights: Path, tmp_path: Path
) -> None:
    """An untrained model invents segments: leaving most of them out is better, whatever the images."""
    target, report = tmp_path / "tuned.safetensors", tmp_path / "tune.json"
    run = pansight(
        "tune", small_weights, "--data", "scenes", "--limit", 4, "--folds", 2, "--force",
        "--output", target, "--json", report,
    )  # fmt: skip
    assert run.code == 0, run.err  # type: ignore[attr-defined]
    found = json.loads(report.read_text())
    assert found["images"] == 4 and found["trials"] > 1 and len(found["interval"]) == 2
    assert "PQ on images held out (4 images, " in run.out  # type: ignore[attr-defined]
    if not found["settings"]:
        assert "no settings are better" in run.out  # type: ignore[attr-defined]
        return
    assert found["written"] == str(target)
    header, before = read_header(target), read_header(small_weights)
    merge, old = header.config.merge.model_dump(), before.config.merge.model_dump()  # type: ignore[attr-defined]
    assert {name: merge[name] for name in merge if merge[name] != old[name]} == found["settings"]
    assert header.extra["tuned"]["images"] == 4
    tensors, theirs = read_tensors(target), read_tensors(small_weights)
    assert tensors.keys() == theirs.keys()
    assert all(torch.equal(tensors[key], theirs[key]) for key in tensors)
    assert load_model(target).merge_settings == header.config.merge  # type: ignore[attr-defined]


def test_a_dry_run_writes_nothing(
    pansight: Callable[..., object], small_weights: Path, tmp_path: Path
) -> None:
    before = small_weights.read_bytes()
    run = pansight(
        "tune", small_weights, "--data", "scenes", "--limit", 3, "--folds", 2, "--dry-run", "--force"
    )
    assert run.code == 0, run.err  # type: ignore[attr-defined]
    assert small_weights.read_bytes() == before


def test_mistakes_are_named(pansight: Callable[..., object], small_weights: Path) -> None:
    run = pansight("tune", small_weights, "--data", "scenes", "--output", "weights.pth")
    assert run.code == 2 and "weights.pth cannot hold settings" in run.err  # type: ignore[attr-defined]
    run = pansight("tune", "yoso-tinny", "--data", "scenes")
    assert run.code == 2 and "yoso-tiny" in run.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("limit", [1 << 30, 0], ids=["in memory", "on the disk"])
def test_maps_of_cached_outputs_are_the_model_s(small_scenes_model: YOSO, limit: int) -> None:
    dataset = open_dataset("scenes", split="val")
    segmenter = Segmenter(TorchEngine(small_scenes_model, device="cpu"))
    with CachedOutputs(small_scenes_model.optimized(), torch.device("cpu"), limit) as cached:
        assert list(cached.fill(dataset, [3, 5])) == [3, 5]
        for number, index in enumerate((3, 5)):
            for settings in (None, {"object_threshold": 0.01, "keep_share": 0.1}):
                engine = (
                    segmenter
                    if settings is None
                    else Segmenter(TorchEngine(small_scenes_model, device="cpu", merge=settings))
                )
                expected = engine.predict(dataset[index].image)
                chosen = small_scenes_model.merge_settings.replaced(settings)
                found = cached.map(number, chosen)
                assert (found.ids == expected.ids).all()
                assert [one.category for one in found.segments] == [one.category for one in expected.segments]
