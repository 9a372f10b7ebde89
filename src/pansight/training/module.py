"""One training step of any panoptic model."""

import math
import statistics
from collections import deque
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from pansight.data.transforms import generator_for
from pansight.errors import DataError, PansightError
from pansight.models.base import PanopticModel
from pansight.nn.features import Backbone
from pansight.training.batch import TrainingBatch
from pansight.training.config import TrainConfig
from pansight.training.freezing import Frozen
from pansight.training.profiling import Clock
from pansight.training.replay import Pass, save_replay
from pansight.training.schedule import rate_factor
from pansight.training.stream import MISSING

REMEDY = (
    "lower optimizer.learning_rate or optimizer.gradient_clip and go on with --resume "
    "from the last checkpoint, which is kept"
)


EARLIER = 100
"""previous losses that the present one is compared with"""
FEW = 20
"""fewest of them to compare with"""

CATEGORIES = "categories"
"""key of a checkpoint: the names and kinds that its model tells apart"""


class TrainingModule(LightningModule):
    """Losses, optimizer and learning rate of a `PanopticModel`.

    Args:
        model: trained in place.
        config: of the whole training.
        images: of the data set; at most MISSING of them may be unreadable.
        folder: where a step that goes wrong is saved for inspection; None: nowhere.
        frozen: parts that are not trained.

    Attributes:
        clock: notified of each part of the work, where a training is profiled.
        missed: the images that could not be read, by index, and why.
    """

    def __init__(
        self,
        model: PanopticModel,
        config: TrainConfig,
        images: int = 0,
        folder: Path | None = None,
        frozen: Frozen | None = None,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.clock: Clock | None = None
        self.folder = folder
        self._step_passes: list[Pass] = []
        self._earlier: deque[float] = deque(maxlen=EARLIER)
        self.images = images
        self.missed: dict[int, str] = {}
        self.model = model
        self.settings = config
        self._groups: list[dict[str, Any]] = []
        self._terms: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._norm: Tensor | None = None
        self._passes = 0

    def training_step(self, batch: TrainingBatch | PansightError, batch_index: int) -> Float[Tensor, ""]:
        """Sum of the model's losses on one batch.

        Raises PansightError when it is not finite or explodes, and the one that comes in place of a batch.
        """
        if isinstance(batch, PansightError):
            raise batch
        if batch.missed:
            self._miss(batch.missed)
        if batch_index % self.settings.accumulate == 0:
            self._step_passes = []
        self._step_passes.append(Pass.now(batch))
        images = batch.inputs(self.model.preprocess)
        if self.settings.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        try:
            outputs = self.model(images)
            self._lap("forward")
            losses = self.model.losses(outputs, batch.targets())
        except PansightError as error:
            raise self._wrong(str(error)) from error
        values = torch.stack(list(losses.values()))
        total = values.sum()
        self._check_loss(float(total.detach()), dict(zip(losses, values.tolist(), strict=True)))
        self._terms = tuple(losses)
        detached = values.detach()
        self._sums = detached if self._sums is None else self._sums + detached
        self._passes += 1
        self._lap("loss")
        return total

    def _lap(self, part: str) -> None:
        if self.clock is not None:
            self.clock.lap(part)

    def _check_loss(self, total: float, terms: dict[str, float]) -> None:
        """Raise PansightError where the loss is not finite, or far beyond all that was usual before."""
        if not math.isfinite(total):
            faulty = [f"{name} is {value}" for name, value in terms.items() if not math.isfinite(value)]
            named = ", ".join(faulty) or "the sum overflows"
            raise self._wrong(f"loss {named}; {REMEDY}", terms)
        factor = self.settings.explosion_factor
        if factor and len(self._earlier) >= FEW:
            usual = statistics.median(self._earlier)
            if total > factor * max(usual, 1e-3):
                raise self._wrong(
                    f"loss {total:.4g} is more than {factor:g} times the usual {usual:.4g} "
                    f"(explosion_factor); {REMEDY}",
                    terms,
                )
        self._earlier.append(total)

    def _wrong(self, reason: str, terms: dict[str, float] | None = None) -> PansightError:
        """The error to raise, once the step is kept for `pansight train --replay`."""
        where = f"{self._place}: {reason}"
        if self.folder is None or not self._step_passes:
            return PansightError(where)
        rank = self.trainer.global_rank if self.trainer.world_size > 1 else None
        try:
            path = save_replay(
                self.folder, self.model, self.settings, self.trainer.global_step + 1, rank,
                self._step_passes, where, terms or {},
            )  # fmt: skip
        except PansightError as error:
            return PansightError(f"{where}; the step could not be kept ({error})")
        return PansightError(f"{where}; inspect it with: pansight train --replay {path}")

    def _miss(self, missed: tuple[tuple[int, str], ...]) -> None:
        """Remember images that could not be read; DataError when they are more than MISSING of all."""
        self.missed.update(missed)
        count, first = len(self.missed), next(iter(self.missed.values()))
        if count > MISSING * self.images:
            unread = f"{count} of {self.images} images cannot be read, such as this: {first}"
            raise DataError(first if count == 1 else unread)

    def on_train_end(self) -> None:
        """Gather what the other processes of this training could not read."""
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.missed)
            self.missed = {index: why for part in parts for index, why in part.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the weights tell apart: another order or flag has the same shapes."""
        checkpoint[CATEGORIES] = [[one.name, one.is_thing] for one in self.model.categories]

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        """Set the rate, and the seed of everything random in the step, by the step's number alone."""
        # In the midst of an accumulated step the number of the pass matters too; the processes of a training
        # share a step as the passes of a single one do, and draw what those would.
        accumulated = batch_index % self.settings.accumulate
        place = accumulated * self.trainer.world_size + self.trainer.global_rank
        numbers = (self.settings.seed, self.trainer.global_step, place, 0)
        state = generator_for(numbers).integers(2**63)
        torch.manual_seed(int(state))
        if self.frozen is not None:
            self.frozen.hold()
        factor = self.rate_factor
        for group, settings in zip(self.trainer.optimizers[0].param_groups, self._groups, strict=True):
            group.update(settings, lr=settings["lr"] * factor)

    @property
    def _place(self) -> str:
        return f"step {self.trainer.global_step + 1}"

    @property
    def rate_factor(self) -> float:
        """The current factor on the base rates."""
        return rate_factor(self.settings.optimizer.schedule, self.trainer.global_step, self.settings.steps)

    def configure_optimizers(self) -> Optimizer:
        """AdamW or SGD over the model's parameter groups."""
        settings = self.settings.optimizer
        groups = self.model.parameter_groups(settings.learning_rate, settings.weight_decay)
        if settings.one_rate:
            groups = [{**group, "lr": settings.learning_rate} for group in groups]
        if settings.backbone_factor is not None:
            groups = self._apart(groups, settings.learning_rate * settings.backbone_factor)
        # A checkpoint brings back the groups' old settings; those of now are set again at every step.
        common: dict[str, Any] = {"weight_decay": settings.weight_decay}
        if settings.kind == "sgd":
            common |= {"momentum": settings.momentum}
        else:
            common |= {"betas": settings.betas, "eps": settings.epsilon}
        groups = [{**common, **group} for group in groups]
        self._groups = [{key: value for key, value in g.items() if key != "params"} for g in groups]
        # Gradient scaling unscales before clipping, which a fused step would do inside itself.
        fused = self.settings.precision != "16-mixed"
        if settings.kind == "sgd":
            return SGD(groups, lr=settings.learning_rate, fused=fused)
        return AdamW(groups, lr=settings.learning_rate, fused=fused)

    def _apart(self, groups: list[dict[str, Any]], rate: float) -> list[dict[str, Any]]:
        """The same groups with the backbone's parameters in groups of their own, which learn at `rate`."""
        parts = [part for part in self.model.modules() if isinstance(part, Backbone)]
        inside = {id(parameter) for part in parts for parameter in part.parameters()}
        result = []
        for group in groups:
            for chosen, lr in ((False, group["lr"]), (True, rate)):
                some = [one for one in group["params"] if (id(one) in inside) == chosen]
                if some:
                    result.append({**group, "params": some, "lr": lr})
        return result

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Bound the L2 norm of all gradients together, then each; reject a step if any is not finite."""
        limit = self.settings.optimizer.gradient_clip or float("inf")
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        # The scaler of float16 expects overflows and skips such steps by itself.
        if self.settings.precision != "16-mixed" and not torch.isfinite(self._norm):
            raise self._wrong(f"the gradients are not finite; {REMEDY}")
        if self.settings.optimizer.gradient_clip_value:
            torch.nn.utils.clip_grad_value_(parameters, self.settings.optimizer.gradient_clip_value)

    def take_log(self) -> dict[str, float]:
        """Means since the last call: `loss`, its terms; and the last `gradient_norm` and `learning_rate`."""
        if self._sums is None:
            return {}
        means = (self._sums / self._passes).tolist()
        self._sums, self._passes = None, 0
        return {
            "learning_rate": self.trainer.optimizers[0].param_groups[-1]["lr"],
            "gradient_norm": float("nan") if self._norm is None else float(self._norm),
            "loss": sum(means),
            **dict(zip(self._terms, means, strict=True)),
        }
