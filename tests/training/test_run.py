"""Trainings as a whole: they learn, stop, go on exactly, and say what is wrong."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from pansight.errors import CheckpointError, DataError, InputError, PansightError
from pansight.models.yoso import YOSO
from pansight.training.checkpoints import read_checkpoint
from pansight.training.config import TrainConfig
from pansight.training.module import TrainingModule
from pansight.training.run import train
from pansight.training.sources import Sources
from pansight.zoo.registry import load_model

Tiny = Callable[..., TrainConfig]


def table(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_one_scene_is_learned(tiny: Tiny, toy: Callable[..., Any], tmp_path: Path) -> None:
    one = Sources(toy(0, 1), toy(0, 1), toy(0, 1)[0].panoptic.categories)
    output = io.StringIO()
    config = tiny(
        steps=60,
        log_every=10,
        checkpoint_every=60,
        average=0.8,
        optimizer={"learning_rate": 3e-3, "one_rate": True, "gradient_clip": 1.0, "weight_decay": 0.0},
        validation={"every": 30, "pictures": 1},
    )
    model = train(config, tmp_path / "run", sources=one, console=Console(file=output, width=200))
    losses = [row["loss"] for row in table(tmp_path / "run" / "training.csv")]
    assert len(losses) == 6
    assert losses[-1] < 0.6 * losses[0], losses
    quality = table(tmp_path / "run" / "validation.csv")
    assert [row["step"] for row in quality] == [30, 60]
    assert quality[-1]["pq_stuff"] > 60
    assert not model.training
    # what is exported is what was returned: the average
    assert equal(load_model(tmp_path / "run" / "final.safetensors"), model)
    assert (tmp_path / "run" / "best.safetensors").exists()
    assert "step 60/60" in output.getvalue()
    assert "PQ" in output.getvalue()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_training_is_the_unbroken_one(
    tiny: Tiny, sources: Sources, tmp_path: Path, accumulate: int
) -> None:
    changes = {"accumulate": accumulate, "average": 0.9, "validation": {"every": 3, "pictures": 2}}
    changes["data"] = {"kind": "coco-panoptic", "folder": ".", "augmentation": {"kind": "flip"}}
    whole = train(tiny(**changes), tmp_path / "whole", sources=sources, console=quiet())
    train(tiny(steps=3, **changes), tmp_path / "parts", sources=sources, console=quiet())
    resumed = train(tiny(**changes), tmp_path / "parts", resume=True, sources=sources, console=quiet())
    assert equal(whole, resumed)
    for name in ("training.csv", "validation.csv"):
        tables = [table(tmp_path / run / name) for run in ("whole", "parts")]
        for row in (row for rows in tables for row in rows):
            del row["seconds"]
        assert tables[0] == tables[1]
    assert read_checkpoint(tmp_path / "parts" / "last.ckpt")["global_step"] == 6


def test_workers_do_not_change_what_is_learned(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    data = {"kind": "coco-panoptic", "folder": ".", "augmentation": {"kind": "lsj", "size": [64, 64]}}
    models = [
        train(
            tiny(steps=2, workers=workers, data=data),
            tmp_path / str(workers),
            sources=sources,
            console=quiet(),
        )
        for workers in (0, 2)
    ]
    assert equal(*models)


def test_seeds_differ(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    models = [
        train(tiny(steps=1, seed=seed), tmp_path / str(seed), sources=sources, console=quiet())
        for seed in (0, 1)
    ]
    assert not equal(*models)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(
    tiny: Tiny, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    losses, calls = YOSO.losses, []

    def faulty(self: YOSO, outputs: Any, targets: Any) -> Any:
        terms = losses(self, outputs, targets)
        calls.append(1)
        if len(calls) == 5:
            terms["s1_loss_dice"] = terms["s1_loss_dice"] * value
        return terms

    monkeypatch.setattr(YOSO, "losses", faulty)
    with pytest.raises(
        PansightError, match=r"step 5: loss s1_loss_dice is (nan|inf); lower .*--resume"
    ) as caught:
        train(tiny(), tmp_path / "run", sources=sources, console=quiet())
    assert "\n" not in str(caught.value)
    kept = read_checkpoint(tmp_path / "run" / "last.ckpt")
    assert kept["global_step"] == 3
    assert all(tensor.isfinite().all() for tensor in kept["state_dict"].values())


def test_gradients_that_are_not_finite_change_nothing(
    tiny: Tiny, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = YOSO.losses

    def steep(self: YOSO, outputs: Any, targets: Any) -> Any:
        terms = losses(self, outputs, targets)
        # finite itself, but its slope at 0 is not
        return {**terms, "steep": (outputs.kernels.sum() * 0).abs().sqrt()}

    monkeypatch.setattr(YOSO, "losses", steep)
    with pytest.raises(PansightError, match="step 1: the gradients are not finite"):
        train(tiny(), tmp_path / "run", sources=sources, console=quiet())


def test_options_may_change_on_resume(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    train(tiny(steps=1), tmp_path / "run", sources=sources, console=quiet())
    changed = tiny(steps=2, optimizer={"learning_rate": 5e-4, "one_rate": True, "weight_decay": 0.3})
    train(changed, tmp_path / "run", resume=True, sources=sources, console=quiet())
    (optimizer,) = read_checkpoint(tmp_path / "run" / "last.ckpt")["optimizer_states"]
    assert {group["weight_decay"] for group in optimizer["param_groups"]} == {0.0, 0.3}
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["optimizer"]["weight_decay"] == 0.3
    # poly at the second of two steps
    assert table(tmp_path / "run" / "training.csv")[-1]["learning_rate"] == pytest.approx(
        5e-4 * 0.5**0.9, rel=1e-5
    )


def test_rates_are_the_methods_unless_all_are_one(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    for one_rate, rates in ((False, {1e-4, 1e-3}), (True, {1e-3})):
        optimizer = {"learning_rate": 1e-3, "one_rate": one_rate, "schedule": {"kind": "constant"}}
        folder = tmp_path / str(one_rate)
        train(tiny(steps=1, optimizer=optimizer), folder, sources=sources, console=quiet())
        (state,) = read_checkpoint(folder / "last.ckpt")["optimizer_states"]
        assert {group["lr"] for group in state["param_groups"]} == rates


def test_numbered_checkpoints_are_kept_and_forgotten(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    config = tiny(steps=5, checkpoint_every=1, keep_checkpoints=2)
    train(config, tmp_path / "run", sources=sources, console=quiet())
    names = sorted(path.name for path in (tmp_path / "run").glob("*.ckpt"))
    assert names == ["last.ckpt", "previous.ckpt", "step-00000004.ckpt", "step-00000005.ckpt"]


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    tiny: Tiny, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = torch.save, []

    def full(*arguments: Any, **keywords: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("[enforce fail at inline_container.cc:626] . unexpected pos 64 vs 0")
        save(*arguments, **keywords)

    monkeypatch.setattr(torch, "save", full)
    output = io.StringIO()
    console = Console(file=output, width=300)
    train(tiny(steps=3, checkpoint_every=1), tmp_path / "run", sources=sources, console=console)
    assert "warning: step 2: cannot write" in output.getvalue()
    assert "training continues" in output.getvalue()
    assert read_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == 3


class Broken:
    """A data set that nobody can read; workers get a copy."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        raise DataError(f"picture {index}.png is broken")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named_in_one_line(
    tiny: Tiny, sources: Sources, tmp_path: Path, workers: int
) -> None:
    broken = Sources(Broken(), None, sources.categories)
    with pytest.raises(DataError, match=r"^picture \d\.png is broken$"):
        train(tiny(workers=workers), tmp_path / "run", sources=broken, console=quiet())


def test_folders_in_use_are_left_alone(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(InputError, match=r"is not empty; choose another --output"):
        train(tiny(), tmp_path, sources=sources, console=quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(CheckpointError, match=r"last\.ckpt does not exist"):
        train(tiny(), tmp_path, resume=True, sources=sources, console=quiet())


def test_checkpoints_of_another_model_are_refused(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    train(tiny(steps=1), tmp_path / "run", sources=sources, console=quiet())
    other = tiny(model={"config": {**tiny().model.config, "proposals": 11}})
    with pytest.raises(CheckpointError, match=r"last\.ckpt is of another model .*mis-shaped"):
        train(other, tmp_path / "run", resume=True, sources=sources, console=quiet())


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains(tiny: Tiny, sources: Sources, tmp_path: Path, precision: str) -> None:
    model = train(
        tiny(steps=2, precision=precision, channels_last=True),
        tmp_path / "run",
        sources=sources,
        console=quiet(),
    )
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_sgd_trains_and_resumes_like_one(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    optimizer = {"kind": "sgd", "learning_rate": 1e-3, "momentum": 0.8, "schedule": {"kind": "constant"}}
    config = tiny(optimizer=optimizer, steps=4, checkpoint_every=2)
    model = train(config, tmp_path / "whole", sources=sources, console=quiet())
    state = read_checkpoint(tmp_path / "whole" / "last.ckpt")["optimizer_states"][0]
    assert {group["momentum"] for group in state["param_groups"]} == {0.8}
    assert all("momentum_buffer" in moments for moments in state["state"].values())
    half = config.model_copy(update={"steps": 2})
    train(half, tmp_path / "parts", sources=sources, console=quiet())
    again = train(config, tmp_path / "parts", resume=True, sources=sources, console=quiet())
    assert equal(model, again)


def test_dense_detections_train(tiny: Tiny, sources: Sources, tmp_path: Path) -> None:
    config = tiny(
        model={
            "method": "dense_detection",
            "config": {
                "depth": 18,
                "width": 8,
                "backbone_norm": "batch",
                "backbone_eps": 1e-5,
                "frozen_stages": 0,
                "pyramid_channels": 16,
                "box_channels": 16,
                "class_channels": 16,
                "level_bounds": [16, 32, 64, 128],
                "box_start": "level",
                "merge": {"stuff_area": 64},
            },
        },
        steps=12,
        validation={"every": 12, "pictures": 2},
    )
    train(config, tmp_path / "run", sources=sources, console=quiet())
    rows = table(tmp_path / "run" / "training.csv")
    assert {"box", "centerness", "class", "levelness", "semantic", "mask"} <= set(rows[0])
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert len(table(tmp_path / "run" / "validation.csv")) == 1
    loaded = load_model(tmp_path / "run" / "final.safetensors")
    assert loaded.method == "dense_detection"


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_each_gradient_is_bounded(tiny: Tiny, limit: float) -> None:
    """As Panoptic FCN does: no gradient goes beyond the limit, all others stay."""
    config = tiny(optimizer={"kind": "sgd", "gradient_clip": 0, "gradient_clip_value": limit})
    weight = torch.nn.Parameter(torch.zeros(1, 3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.tensor([[0.25, -3.0, 7.0]])
    module: Any = SimpleNamespace(settings=config)
    TrainingModule.configure_gradient_clipping(module, optimizer)
    assert weight.grad.tolist() == [[0.25, -limit or -3.0, limit or 7.0]]
