"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pansight.models.base import PanopticModel
from pansight.training.steps import StepCallback


class WeightAverage(StepCallback):
    """Follows the model's weights and running statistics: average <- decay * average + (1 - decay) * weights.

    In the first steps the decay is min(decay, (1 + t) / (10 + t)), so that random first weights are
    soon forgotten. With decay 0 it does nothing.
    """

    def __init__(self, model: PanopticModel, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.updates = 0
        self._average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights as they are, unless a checkpoint brought an average."""
        if self.decay:
            weights = self.model.state_dict()
            self._average = {
                # the model may have been moved since the checkpoint was read
                name: self._average[name].to(value.device) if self._average else value.detach().clone()
                for name, value in weights.items()
            }

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Follow once per optimizer step."""
        if self.decay:
            self.updates = step
            self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = self.model.state_dict()
        floating = [name for name, value in current.items() if value.is_floating_point()]
        blend = get_ema_multi_avg_fn(decay)
        blend([self._average[name] for name in floating], [current[name] for name in floating], self.updates)
        for name in current.keys() - set(floating):
            self._average[name].copy_(current[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        if not self.decay or not self._average:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self._average)
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Its state in checkpoints."""
        return {"updates": self.updates, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.updates = state_dict["updates"]
        self._average = dict(state_dict["average"])
