"""The cluster: Ray Data hands items to workers, and their answers back, whichever worker dies in between.

Only this module knows Ray. A worker is an actor with its own model; Ray starts one that died anew, and gives
what it was at to it or to another. Items and answers are small: a number of a shard, counts. What is large
goes from storage to storage.
"""

import logging
import os
import pickle
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from pansight.errors import DeviceError, InputError, InstallationError, PansightError
from pansight.files import require_extra
from pansight.runtime.cores import usable_cores
from pansight.runtime.memory import keep_freed_memory

_WAVE = 16_384
"""Items that Ray Data plans at a time, so that the driver's memory does not grow with their number."""

_IN_FLIGHT = 2
"""Items that a worker has at a time: the one that it is at, and the next."""

_TRIES = 3
"""So often a cluster on this machine is started: on a busy one Ray gives up after half a minute."""

_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}

_STORE_BYTES = 256 << 20
"""Ray's shared memory on this machine; next to nothing travels through it."""


@dataclass(frozen=True)
class ClusterOptions:
    """How to use the cluster.

    Attributes:
        address: of a cluster that runs (`auto`, HOST:PORT); None: that of the environment variable
            RAY_ADDRESS, which a submitted job has, else one on this machine for this call.
        workers: how many; None: as many as there are GPUs, or cores.
        device: `auto`: GPUs where the cluster has some; `cuda` or `cpu`.
        cores: of each worker.
    """

    address: str | None = None
    workers: int | None = None
    device: str = "auto"
    cores: int = 1


@dataclass(frozen=True)
class Cluster:
    """A cluster to which this process is connected.

    `own`: whether it was started for this call, on this machine.
    """

    workers: int
    cores: int
    gpus: bool
    own: bool

    @property
    def device(self) -> str:
        """Where workers' networks run."""
        return "cuda" if self.gpus else "cpu"

    def share(self, value: Any) -> Callable[[], Any]:
        """Keep a large value in the cluster, once per machine; returns a handle to it."""
        import ray

        return partial(ray.get, ray.put(value))

    def run(
        self,
        make: Callable[..., Callable[[Any], Any]],
        arguments: Sequence[Any],
        items: Iterable[Any],
        ordered: bool = False,
    ) -> Generator[Any, None, None]:
        """Answers of workers for all items, one each, as soon as they are known; in order where requested.

        Each worker calls `make(*arguments)` once, then the result of that on item after item. An item may be
        worked on several times, where workers or machines die; its answer comes once.

        Raises what a worker raises of PansightError, and DeviceError when the cluster is lost.
        """
        items = iter(items)
        while wave := list(islice(items, _WAVE)):
            yield from self._wave(make, arguments, wave, ordered)

    def _wave(
        self,
        make: Callable[..., Callable[[Any], Any]],
        arguments: Sequence[Any],
        wave: list[Any],
        ordered: bool,
    ) -> Generator[Any, None, None]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = ordered
        rows = [{"item": pickle.dumps(item)} for item in wave]
        workers = min(self.workers, len(wave))
        given: Any = ray.data.from_items(rows, override_num_blocks=len(rows))
        dataset = given.map(
            _Worker,
            fn_constructor_args=(make, tuple(arguments)),
            compute=ActorPoolStrategy(
                min_size=1, max_size=workers, initial_size=workers, max_tasks_in_flight_per_actor=_IN_FLIGHT
            ),
            num_cpus=self.cores,
            **({"num_gpus": 1} if self.gpus else {}),
        )
        try:
            for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
                for content in batch.column("answer").to_pylist():
                    answer = pickle.loads(content)  # of our own worker
                    if isinstance(answer, _Failure):
                        raise answer.error
                    yield answer
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            text = " ".join(str(cause).split())[:400]
            raise DeviceError(
                f"the cluster failed ({text}); run the command again to finish what is missing"
            ) from error


@contextmanager
def connected(options: ClusterOptions) -> Generator[Cluster, None, None]:
    """Connect to a cluster, or start one on this machine; and leave it, or end it, at the end.

    Raises MissingExtraError without Ray, InputError for options that do not fit the cluster, DeviceError
    where a requested GPU is missing.
    """
    if options.workers is not None and options.workers < 1:
        raise InputError(f"workers must be positive, got {options.workers}")
    if options.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {options.device} does not work with --engine ray; use auto, cpu or cuda")
    # nothing done here is reported to Ray's makers
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # on a busy machine Ray's own processes need longer than it grants them
    os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")
    # else every run begins with an "error" about what Ray Data itself does. There is no finer switch: the
    # logs of a cluster started here hold fatal messages alone, unless the variable says otherwise
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray's own choice, 15, starves workers on a machine that does other work
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray = require_extra("ray", "fleet")
    require_extra("ray.data", "fleet")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    address = options.address or os.environ.get("RAY_ADDRESS")
    foreign = ray.is_initialized()
    own = not foreign and address in (None, "", "local")
    if own:
        _start(ray, options)
    elif not foreign:
        _connect(ray, str(address))
    try:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        if options.device == "cuda" and not gpus:
            raise DeviceError("the cluster has no GPU; use --device auto or cpu")
        use_gpus = gpus > 0 and options.device != "cpu"
        there = gpus if use_gpus else int(resources.get("CPU", 1)) // options.cores
        yield Cluster(options.workers or max(1, there), options.cores, use_gpus, own)
    finally:
        if not foreign:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(f"no Ray cluster at {address} ({text}); check --ray-address") from error


def _start(ray: Any, options: ClusterOptions) -> None:
    """A cluster of this machine alone, which ends with this process, however that ends."""
    cores = max(usable_cores(), (options.workers or 1) * options.cores)
    for left in reversed(range(_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                **_QUIET,
            )
            return
        except Exception as error:  # Ray has no class of its own for that
            ray.shutdown()
            if not left:
                text = " ".join(str(error).split())[:300]
                raise InstallationError(
                    f"Ray does not start on this machine ({text}); if it is too busy, start a cluster "
                    "first, `ray start --head`, and give --ray-address auto"
                ) from error
            time.sleep(1)


class _Failure:
    """An error that would affect every item."""

    def __init__(self, error: PansightError) -> None:
        self.error = error


class _Worker:
    """The actor. Errors that are ours travel as answers: Ray would wrap them, and try again."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], arguments: Sequence[Any]) -> None:
        keep_freed_memory()
        self._failure: _Failure | None = None
        try:
            self._work = make(*arguments)
        except PansightError as error:
            self._failure = _Failure(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        answer: Any = self._failure
        if answer is None:
            try:
                answer = self._work(pickle.loads(row["item"]))
            except PansightError as error:
                answer = _Failure(error)
        return {"answer": pickle.dumps(answer)}
