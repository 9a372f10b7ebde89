"""Where figures go besides the CSV files: TensorBoard, Weights & Biases, MLflow."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from pansight.files import require_extra

RUNS = "logs"
"""folder, inside a training's, of what loggers keep on the disk"""


@runtime_checkable
class Logger(Protocol):
    """Takes figures and images of a training; a resumed one continues in the same run."""

    def figures(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Values by name, of the table `training` or `validation`."""

    def image(self, name: str, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """An RGB image."""

    def close(self) -> None:
        """Write what is left."""


def make_loggers(
    names: Sequence[str] | None, folder: Path, step: int, settings: Mapping[str, Any]
) -> list[Logger]:
    """The loggers of these names; None: TensorBoard where it is installed.

    Args:
        names: tensorboard, wandb, mlflow; csv is what every training writes anyway.
        folder: of the training.
        step: where it starts; anything a logger has of later steps is from before a crash.
        settings: of the training, for those that show them.

    Raises MissingExtraError, naming the extra, where a requested one is not installed.
    """
    if names is None:
        names = ("tensorboard",) if importlib.util.find_spec("tensorboard") is not None else ()
    kinds: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}
    return [kinds[name](folder, step, settings) for name in dict.fromkeys(names) if name != "csv"]


def check_loggers(names: Sequence[str] | None) -> None:
    """Raise MissingExtraError before anything is done where a requested logger is not installed."""
    for name in names or ():
        if name != "csv":
            require_extra(name, "train" if name == "tensorboard" else name)


class TensorBoard:
    """Event files in `events/`."""

    def __init__(self, folder: Path, step: int, settings: Mapping[str, Any]) -> None:
        require_extra("tensorboard", "train")
        from torch.utils import tensorboard

        purge = step + 1 if step else None
        self._events = tensorboard.SummaryWriter(str(folder / "events"), purge_step=purge)

    def figures(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """See Logger."""
        for name, value in values.items():
            self._events.add_scalar(f"{table}/{name}", value, step)

    def image(self, name: str, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """See Logger."""
        self._events.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """See Logger."""
        self._events.close()


class WeightsAndBiases:
    """A run of wandb: online where there is a key (WANDB_API_KEY, `wandb login`), else offline in `logs/`.

    WANDB_PROJECT, WANDB_MODE and the other variables of the package work as usual.
    """

    def __init__(self, folder: Path, step: int, settings: Mapping[str, Any]) -> None:
        self._wandb: Any = require_extra("wandb", "wandb")
        runs = folder / RUNS
        runs.mkdir(parents=True, exist_ok=True)
        known = bool(os.environ.get("WANDB_API_KEY")) or Path("~/.netrc").expanduser().is_file()
        self._run: Any = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pansight"),
            name=folder.name,
            id=_kept(runs / "wandb-run.txt", lambda: self._wandb.util.generate_id()),
            resume="allow",
            dir=str(runs),
            config=dict(settings),
            mode=os.environ.get("WANDB_MODE") or ("online" if known else "offline"),
        )

    def figures(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """See Logger."""
        self._run.log({f"{table}/{name}": value for name, value in values.items()}, step=step)

    def image(self, name: str, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """See Logger."""
        self._run.log({name: self._wandb.Image(image)}, step=step)

    def close(self) -> None:
        """See Logger."""
        self._run.finish()


class MLflow:
    """A run of MLflow: at MLFLOW_TRACKING_URI, else in `logs/mlflow.db`."""

    def __init__(self, folder: Path, step: int, settings: Mapping[str, Any]) -> None:
        mlflow: Any = require_extra("mlflow", "mlflow")
        runs = folder / RUNS
        runs.mkdir(parents=True, exist_ok=True)
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.set_tracking_uri(f"sqlite:///{(runs / 'mlflow.db').resolve()}")
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "pansight"))
        self._mlflow = mlflow
        marker = runs / "mlflow-run.txt"
        before = marker.read_text(encoding="utf-8").strip() if marker.is_file() else None
        run = mlflow.start_run(run_id=before, run_name=None if before else folder.name)
        if before is None:
            marker.write_text(run.info.run_id, encoding="utf-8")
            # values may not be longer than 6000 characters
            mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def figures(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """See Logger."""
        finite = {f"{table}/{name}": value for name, value in values.items() if np.isfinite(value)}
        self._mlflow.log_metrics(finite, step=step)

    def image(self, name: str, step: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """See Logger."""
        self._mlflow.log_image(image, artifact_file=f"{name}-{step:08d}.png")

    def close(self) -> None:
        """See Logger."""
        self._mlflow.end_run()


def _kept(path: Path, make: Any) -> str:
    """The text in a file, or a new one that is put there."""
    if not path.is_file():
        path.write_text(str(make()), encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
