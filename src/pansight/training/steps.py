"""Callbacks that act once per optimizer step, however many passes it has."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class StepCallback(Callback):
    """Calls `on_step` after every optimizer step, with the number of steps done."""

    _step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Steps of a resumed training are done already."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Leave out passes that only accumulate gradients."""
        if trainer.global_step != self._step:
            self._step = trainer.global_step
            self.on_step(trainer, pl_module, self._step)

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """The callback's work."""
