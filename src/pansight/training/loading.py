"""Processes that load samples: how they start, and what they return.

Lightning is not imported here: each of these processes would pay for it.
"""

import multiprocessing
import signal
import warnings
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader

from pansight.errors import PansightError
from pansight.training.batch import TrainingBatch, collate

NEEDED = ("pansight.training.stream", "pansight.data.coco", "pansight.data.relabelled", "pansight.scenes")
"""modules that nearly every worker imports, to read samples and to change them"""


def worker_context(workers: int) -> BaseContext | None:
    """How to start `workers` processes for a `DataLoader`; None where there are none.

    A process that has run a network has OpenMP's threads, and forking it copies their locks in whatever
    state they are. So workers fork from a server that imports torch once and runs nothing; where there is no
    such server (Windows), they are started afresh.
    """
    if workers == 0:
        return None
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # in this order: the first sees to signals, the others are what a worker needs, imported once for all
    context.set_forkserver_preload(["pansight.training.forkserver", "pansight.training.loading", *NEEDED])
    return context


def start_worker(worker: int) -> None:
    """One thread per worker, and signals left to the training process, which stops its workers itself.

    Pillow's remarks on odd files name no file, and would come out raw; what matters comes as an error.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _once_more)
    warnings.simplefilter("ignore")


def _once_more(number: int, frame: FrameType | None) -> None:
    """The first SIGTERM is a scheduler's, sent to all processes of a training; a second one is meant."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class WatchedLoader(DataLoader[Any]):
    """A DataLoader that names a worker process that died, and says how."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        iterator = super().__iter__()
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                reason = _death(getattr(iterator, "_workers", ()), error)
                if reason is None:
                    raise
                raise PansightError(reason) from error
            yield item


def _death(workers: Any, error: RuntimeError) -> str | None:
    """What became of the workers, where the error says that one is gone."""
    if "DataLoader worker" not in str(error):
        return None
    gone = []
    for number, worker in enumerate(workers):
        worker.join(timeout=1 if not worker.is_alive() else 0)
        code = worker.exitcode
        if code is not None and code != 0:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            gone.append(f"data worker {number} of {len(workers)} (process {worker.pid}) was {how}")
    if not gone:
        return None
    return (
        f"{'; '.join(gone)}; if memory ran out, use fewer --workers or smaller images, and go on with "
        "--resume from the last checkpoint"
    )


def collate_or_error(examples: list[Any], divisor: int) -> TrainingBatch | PansightError:
    """The batch of these examples, or the first error that came in place of one."""
    for example in examples:
        if isinstance(example, PansightError):
            return example
    return collate(examples, divisor)


def unchanged(samples: list[Any]) -> list[Any]:
    """A batch that stays the list of its samples."""
    return samples
