"""Several processes that train one model: how they share gradients, and how they end together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from pansight.errors import PansightError
from pansight.files import atomic_write
from pansight.training.config import TrainConfig

WAIT = 10.0
"""seconds to wait for another process's reason, once this one has lost the others"""


def parallel_strategy(config: TrainConfig) -> Any:
    """Data-parallel where there are several devices.

    A batch without things has no loss for some heads: their parameters get no gradient in that step, which
    the strategy must be told to expect.
    """
    if config.devices == 1:
        return "auto"
    return DDPStrategy(
        find_unused_parameters=True,
        process_group_backend="gloo" if config.device == "cpu" else None,
    )


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
        except PansightError as error:
            if _several() and not self._reason.exists():
                with suppress(PansightError), atomic_write(self._reason) as temporary:
                    temporary.write_text(str(error), encoding="utf-8")
            raise
        except RuntimeError as error:
            reason = self._told() if _several() else None
            if reason is None:
                raise
            raise PansightError(reason) from error

    def _told(self) -> str | None:
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with suppress(OSError):
                return self._reason.read_text(encoding="utf-8")
            time.sleep(0.1)
        return None


def _several() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
