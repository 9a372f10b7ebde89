"""Several processes that train one model: how they share gradients, and how they end together."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from pansight.errors import PansightError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.training.checkpoints import TrainingInterruptedError
from pansight.training.config import TrainConfig
from pansight.training.shared_norm import sharing

WAIT = 10.0
"""seconds to wait for another process's reason, once this one has lost the others"""


def parallel_strategy(config: TrainConfig) -> Any:
    """Data-parallel where there are several devices.

    A batch without things has no loss for some heads: their parameters get no gradient in that step, which
    the strategy must expect.
    """
    if config.devices * config.nodes == 1:
        return "auto"
    return DDPStrategy(
        find_unused_parameters=True,
        process_group_backend="gloo" if config.device == "cpu" else None,
    )


def restarted() -> bool:
    """Whether a scheduler says that this job ran before: Slurm after a requeue, torchrun after a failure."""
    return any(
        os.environ.get(name, "0") not in ("", "0")
        for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    )


class SharedNorms(Callback):
    """Batch norm over all processes of a training on CPUs; on accelerators torch's own is used."""

    def __init__(self, model: PanopticModel) -> None:
        self.model = model
        self._stack = ExitStack()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Once the processes know each other."""
        if trainer.world_size > 1 and trainer.strategy.root_device.type == "cpu":
            self._stack.enter_context(sharing(self.model))

    def close(self) -> None:
        """Make them plain ones again."""
        self._stack.close()


class Processes:
    """The processes of one training, which share `folder`.

    The first one that fails leaves its reason there; the others, whose connection to it breaks, raise that
    reason and not the connection's.
    """

    def __init__(self, folder: Path) -> None:
        self._reason = folder / ".failed.txt"
        if getattr(rank_zero_only, "rank", 0) == 0:
            with suppress(OSError):
                self._reason.unlink(missing_ok=True)

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Inside, an error of one process is an error of all."""
        try:
            yield
        except TrainingInterruptedError:
            raise
        except PansightError as error:
            self._tell(str(error))
            raise
        except RuntimeError as error:
            # what a lost connection raises, or one's own
            reason = self._told() if _several() and _is_connections(error) else None
            if reason is None:
                self._tell(f"{type(error).__name__}: {error}")
                raise
            raise PansightError(reason) from error
        except Exception as error:
            self._tell(f"{type(error).__name__}: {error}")
            raise

    def _tell(self, reason: str) -> None:
        """Leave the reason for the others, unless one was there before."""
        if _several() and not self._reason.exists():
            with suppress(PansightError), atomic_write(self._reason) as temporary:
                temporary.write_text(" ".join(reason.split()), encoding="utf-8")

    def _told(self) -> str | None:
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with suppress(OSError):
                return self._reason.read_text(encoding="utf-8")
            time.sleep(0.1)
        return None


def _is_connections(error: RuntimeError) -> bool:
    """Whether it may be the others' end that this process noticed."""
    words = (
        "connection",
        "gloo",
        "nccl",
        "distributed",
        "reset by peer",
        "socket",
        "process group",
        "timed out",
    )
    text = f"{type(error).__module__} {type(error).__name__} {error}".lower()
    return any(word in text for word in words)


def _several() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
