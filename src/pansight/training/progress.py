"""The progress of a training: a bar on a terminal, occasional lines elsewhere."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pansight.training.checkpoints import Checkpoints
from pansight.training.config import TrainConfig
from pansight.training.journal import Journal
from pansight.training.module import TrainingModule
from pansight.training.steps import StepCallback


class Report(StepCallback):
    """Writes the losses to the journal and shows step, rate, time left, loss and PQ."""

    def __init__(
        self, config: TrainConfig, journal: Journal, checkpoints: Checkpoints, console: Console
    ) -> None:
        self.config = config
        self.journal = journal
        self.checkpoints = checkpoints
        self.console = console
        self._bar: Progress | None = None
        self._task: Any = None
        self._logged = 0
        self._time = 0.0
        self._quality: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the bar."""
        super().on_train_start(trainer, pl_module)
        self._logged, self._time = trainer.global_step, time.monotonic()
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self._bar = Progress(*columns, console=self.console, speed_estimate_period=300)
        self._task = self._bar.add_task(
            "training", total=self.config.steps, completed=self._logged, rate="", figures=""
        )
        self._bar.start()

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Count the step; every `log_every` steps, log."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)
        self._warn()
        quality = self.journal.latest.get("pq")
        fresh = quality != self._quality
        self._quality = quality
        if (
            step % self.config.log_every
            and step != self.config.steps
            and not fresh
            and not trainer.should_stop
        ):
            return
        self._log(trainer, pl_module, step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what went wrong in the last step, and why it was the last."""
        self._warn()
        if self.checkpoints.remark:
            self.console.print(self.checkpoints.remark, markup=False, highlight=False, soft_wrap=True)

    def _warn(self) -> None:
        for part in (self.checkpoints, self.journal):
            if part.warning:
                warning = f"warning: {part.warning}"
                self.console.print(warning, style="yellow", markup=False, soft_wrap=True)
                part.warning = None

    def _log(self, trainer: Trainer, module: LightningModule, step: int) -> None:
        assert isinstance(module, TrainingModule)
        values = module.take_log()
        if not values or not trainer.is_global_zero:
            return
        now = time.monotonic()
        rate = (step - self._logged) / max(now - self._time, 1e-9)
        self._logged, self._time = step, now
        self.journal.write("training", step, values)
        figures = f"loss {values['loss']:.3f}"
        if "pq" in self.journal.latest:
            figures += f"  PQ {self.journal.latest['pq']:.1f}"
        if self._bar is not None:
            self._bar.update(self._task, rate=f"{rate:.2f} steps/s", figures=figures)
        else:
            left = (self.config.steps - step) / max(rate, 1e-9)
            line = f"step {step}/{self.config.steps}  {rate:.2f} steps/s  {_clock(left)} left  {figures}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Let go of the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
