"""Processes that make samples: how they start, and what they give back.

Lightning is not imported here: each of these processes would pay for it.
"""

import multiprocessing
import signal
import warnings
from multiprocessing.context import BaseContext
from typing import Any

import torch

from pansight.errors import PansightError
from pansight.training.batch import TrainingBatch, collate


def worker_context(workers: int) -> BaseContext | None:
    """How to start `workers` processes for a `DataLoader`; None where there are none.

    A process that has run a network has OpenMP's threads, and whoever forks it copies their locks in whatever
    state they are. So workers fork from a server that imports torch once and runs nothing; where there is no
    such server (Windows), they are started afresh.
    """
    if workers == 0:
        return None
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def start_worker(worker: int) -> None:
    """One thread a worker, and Ctrl-C left to the training process, which stops its workers itself.

    Pillow's remarks on odd files name no file, and would come out raw; what matters comes as an error.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")


def collate_or_error(examples: list[Any], divisor: int) -> TrainingBatch | PansightError:
    """The batch of these examples, or the first error that came in place of one."""
    for example in examples:
        if isinstance(example, PansightError):
            return example
    return collate(examples, divisor)
