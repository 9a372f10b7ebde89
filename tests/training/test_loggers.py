"""Loggers: what reaches them, and what is said where one is not installed."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pansight.errors import MissingExtraError
from pansight.training.journal import Journal
from pansight.training.loggers import check_loggers, make_loggers


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard"])
def test_a_logger_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    extra = "train" if name == "tensorboard" else name
    with pytest.raises(
        MissingExtraError, match=rf"{name} is not installed; run: pip install 'pansight\[{extra}\]'"
    ):
        check_loggers(["csv", name])


def test_csv_alone_is_no_logger(tmp_path: Path) -> None:
    assert make_loggers(["csv"], tmp_path, 0, {}) == []
    check_loggers(["csv"])
    check_loggers(None)


def test_tensorboard_gets_figures_and_images(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    journal = Journal(tmp_path, loggers=make_loggers(None, tmp_path, 0, {}))
    journal.write("validation", 5, {"pq": 42.5})
    journal.draw("validation", 5, np.zeros((8, 8, 3), dtype=np.uint8))
    journal.close()
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    (row,) = events.Scalars("validation/pq")
    assert (row.step, row.value) == (5, 42.5)
    assert events.Images("validation")[0].step == 5
    assert (tmp_path / "samples" / "validation-step-00000005.png").is_file()


class Recorder(ModuleType):
    """Takes the calls that a package would get."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def take(*arguments: Any, **keywords: Any) -> Any:
            self.calls.append((name, (arguments, keywords)))
            return self if name == "init" else SimpleNamespace(info=SimpleNamespace(run_id="run-7"))

        return take


def test_weights_and_biases_goes_on_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    fake: Any = Recorder()
    fake.util = SimpleNamespace(generate_id=lambda: "abc")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for step in (0, 3):
        journal = Journal(
            tmp_path / "run", step, loggers=make_loggers(["wandb"], tmp_path / "run", step, {"seed": 1})
        )
        journal.write("training", 4, {"loss": 2.0})
        journal.close()
    begun = [keywords for name, (_, keywords) in fake.calls if name == "init"]
    assert [one["id"] for one in begun] == ["abc", "abc"]
    assert begun[0]["mode"] == "offline" and begun[0]["config"] == {"seed": 1} and begun[0]["name"] == "run"
    logged = [arguments for name, arguments in fake.calls if name == "log"]
    assert logged[0] == (({"training/loss": 2.0},), {"step": 4})
    assert [name for name, _ in fake.calls].count("finish") == 2


def test_mlflow_goes_on_in_its_run_and_gets_finite_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fake: Any = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    for step in (0, 3):
        journal = Journal(tmp_path, step, loggers=make_loggers(["mlflow"], tmp_path, step, {"seed": 1}))
        journal.write("validation", 4, {"pq": 2.0, "pq_stuff": float("nan")})
        journal.close()
    begun = [keywords["run_id"] for name, (_, keywords) in fake.calls if name == "start_run"]
    assert begun == [None, "run-7"]
    metrics = [arguments for name, arguments in fake.calls if name == "log_metrics"]
    assert metrics[0] == (({"validation/pq": 2.0},), {"step": 4})
    assert [name for name, _ in fake.calls].count("log_params") == 1
