"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from pansight.models.base import PanopticModel
from pansight.training.steps import StepCallback


class WeightAverage(StepCallback):
    """Follows the model's weights and running statistics: average <- decay * average + (1 - decay) * weights.

    While few steps are behind, the decay is min(decay, (1 + t) / (10 + t)), so that random first weights are
    soon forgotten. With decay 0 it does nothing.
    """

    def __init__(self, model: PanopticModel, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.updates = 0
        self._average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights as they are, unless a checkpoint brought an average."""
        if self.decay and not self._average:
            self._average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Follow once an optimizer step."""
        if self.decay:
            self.updates = step
            self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = self.model.state_dict()
        floating = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self._average[name] for name in floating], [current[name] for name in floating], 1 - decay
        )
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
        """What checkpoints hold of it."""
        return {"updates": self.updates, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.updates = state_dict["updates"]
        device = next(self.model.parameters()).device
        self._average = {name: value.to(device) for name, value in state_dict["average"].items()}
