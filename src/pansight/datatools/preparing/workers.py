"""One task for each number 0..n-1, spread over processes: results in order, and Ctrl-C loses none."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, TypeVar

from pansight.errors import PansightError

_Result = TypeVar("_Result")

_AHEAD = 4
"""Results that may wait for an earlier one, a worker."""

_THREADS = Path("/proc/self/task")
"""a folder for each thread of this process, on Linux"""

_task: Callable[[int], Any] | None = None
"""What a worker process does; set once, for sending it with every number would cost more than the work."""


def default_workers() -> int:
    """A worker for each processor that this process may use, at most 8: each holds an image or two."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)


def run_over(task: Callable[[int], _Result], count: int, workers: int) -> Generator[_Result, None, None]:
    """Give `task(0)`, ..., `task(count - 1)` in order, worked out by `workers` processes (1: by this one).

    The processes start at this call, not at the first result, so that it can stand before threads are
    started. Ending the iteration waits only for the tasks in progress; Ctrl-C reaches only
    this process. An exception of a task is raised at its turn. Raises PansightError when a process is killed.
    """
    if workers <= 1 or count <= 1:
        return (task(index) for index in range(count))
    pool = ProcessPoolExecutor(
        min(workers, count),
        mp_context=_context(),
        initializer=_start,
        initargs=(task,),
    )
    first = min(count, _AHEAD * workers)
    pending = deque(pool.submit(_work, index) for index in range(first))
    return _collect(pool, pending, count)


def _context() -> BaseContext:
    """How processes start: a fork is there at once, but it copies the locks that other threads hold.

    Where there are others, a server that runs none forks instead, once it has imported what tasks need.
    """
    methods = multiprocessing.get_all_start_methods()
    if "fork" in methods and has_one_thread():
        return multiprocessing.get_context("fork")
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "pansight.data.coco", "pansight.metrics"])
    return context


def has_one_thread() -> bool:
    """Whether this process has no thread but the one that asks.

    The system is asked, for Python does not know those of OpenMP, BLAS and torch. False where it does not
    tell (macOS, Windows).
    """
    try:
        return len(list(_THREADS.iterdir())) == 1
    except OSError:
        return False


def _collect(
    pool: ProcessPoolExecutor, pending: "deque[Future[_Result]]", count: int
) -> Generator[_Result, None, None]:
    following = len(pending)
    try:
        while pending:
            result = pending.popleft().result()
            if following < count:
                pending.append(pool.submit(_work, following))
                following += 1
            yield result
    except BrokenProcessPool as error:
        raise PansightError(
            "a worker process was killed, perhaps for lack of memory; finished work is kept, "
            "continue with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(task: Callable[[int], Any]) -> None:
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _task = task


def _work(index: int) -> Any:
    assert _task is not None
    return _task(index)
