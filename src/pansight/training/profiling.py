"""Where a training spends its time: data, forward, loss, backward, optimizer, and the rest."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from pansight.files import atomic_write

PARTS = ("data", "forward", "loss", "backward", "optimizer", "rest")
WARM = 2
"""passes that are not counted: the first ones allocate memory, choose kernels and wait for workers"""


class Clock:
    """Adds up the time between laps by the name of what ended with each."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.passes = 0
        self.device = device
        self._last: float | None = None

    def lap(self, part: str) -> None:
        """What was done since the last lap was `part`; an accelerator's queue is waited for."""
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if self._last is not None and self.passes >= WARM:
            self.seconds[part] += now - self._last
        self._last = now

    @property
    def shares(self) -> dict[str, float]:
        """Of each part in the whole, 0..1; empty before anything was counted."""
        total = sum(self.seconds.values())
        return {part: value / total for part, value in self.seconds.items()} if total else {}

    def line(self) -> str:
        """The shares in one line."""
        counted = max(self.passes - WARM, 0)
        total = sum(self.seconds.values())
        parts = ", ".join(
            f"{'validation, checkpoints, logs' if part == 'rest' else part} {100 * share:.1f} %"
            for part, share in self.shares.items()
        )
        each = f"{1000 * total / counted:.0f} ms each" if counted else "none counted"
        return f"profile of {counted} passes, {each}: {parts or 'too few'}"

    def write(self, folder: Path) -> None:
        """`profile.json`: passes, seconds and shares by part. Raises InputError."""
        content = {"passes": max(self.passes - WARM, 0), "seconds": self.seconds, "shares": self.shares}
        with atomic_write(folder / "profile.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


class Profile(Callback):
    """Laps around what Lightning does; the model's own two are the training module's.

    To be the first callback, with `closing` as the last: what others do between steps lies between them.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.closing = _Closing(self.clock)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.clock.device = trainer.strategy.root_device
        self.clock.lap("rest")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A batch is there."""
        self.clock.lap("data")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gradients are there."""
        self.clock.lap("backward")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The weights have changed."""
        self.clock.lap("optimizer")
        self.clock.passes += 1


class _Closing(Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """What other callbacks do is done."""
        self.clock.lap("rest")
