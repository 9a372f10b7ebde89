"""`pansight predict --engine ray`: an archive, labelled by many workers."""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from pansight.errors import InputError
from pansight.files import require_extra

if TYPE_CHECKING:
    from rich.console import Console

    from pansight.fleet.cluster import ClusterOptions
    from pansight.fleet.labelling import Missing
    from pansight.fleet.model import FleetModel
    from pansight.fleet.work import ShardDone

RAY = "ray"
"""The value of --engine."""

_LINE_EVERY = 30.0
"""Seconds between two lines of progress, where there is no terminal to draw a bar on."""

_SHOWN = 20
"""Failures that are named; the index holds all."""


@dataclass(frozen=True)
class FleetOptions:
    """The command line's options for a fleet; see `pansight predict --help`."""

    address: str | None = None
    workers: int | None = None
    worker_cores: int = 1
    shard_size: int | None = None
    shards: bool = False
    retry_failed: bool = False

    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        named = {
            "--ray-address": self.address is not None,
            "--workers": self.workers is not None,
            "--worker-cores": self.worker_cores != 1,
            "--shard-size": self.shard_size is not None,
            "--shards": self.shards,
            "--retry-failed": self.retry_failed,
        }
        return [name for name, given in named.items() if given]

    def cluster(self, device: str) -> "ClusterOptions":
        """For `connected`."""
        from pansight.fleet.cluster import ClusterOptions

        return ClusterOptions(self.address, self.workers, device, self.worker_cores)


def predict_fleet(
    inputs: Sequence[str],
    output: str,
    format: str | None,
    device: str,
    model: "FleetModel",
    options: FleetOptions,
) -> None:
    """Label all images; exit code 0 all went well, 1 some inputs failed, 2 nothing could be done.

    Raises InputError for options that do not fit together, and what stops a run.
    """
    from rich.console import Console

    from pansight.cli.predict import tell
    from pansight.runtime.inputs import printable

    coco = (format or "").lower() == "coco"
    if format is not None and not coco:
        raise InputError(
            f"--format {format} does not work with --engine ray; use coco, or leave it out: id PNGs and "
            "an index"
        )
    if coco and options.shards:
        raise InputError("--format coco needs one file per map; leave out --shards")
    for module in ("ray.data", "pyarrow", "fsspec"):
        require_extra(module, "fleet")
    from pansight.fleet.cluster import connected
    from pansight.fleet.coco_table import write_coco_table
    from pansight.fleet.labelling import Labelling

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    labelling = Labelling(inputs, output, model, options.shards, options.shard_size, options.retry_failed)
    with connected(options.cluster(device)) as cluster:
        problems = labelling.plan(cluster.workers)
        for problem in problems:
            tell(errors, problem)
        missing = labelling.missing()
        work = _Work(missing, errors)
        if missing.shards:
            workers = min(cluster.workers, len(missing.shards))
            errors.print(
                f"{len(missing.shards)} shards to do, {workers} workers on {cluster.device}", markup=False
            )
            started = time.monotonic()
            with closing(labelling.run(cluster, missing.shards)) as shards:
                stopped = work.follow(shards)
            seconds = time.monotonic() - started
            print(f"{work.images} images in {seconds:.1f} s ({work.images / seconds:.1f} a second)")
            if stopped:
                errors.print(
                    "stopped by Ctrl-C; finished work is kept, run the same command again for the rest"
                )
                raise typer.Exit(130)
    summary = labelling.summary()
    if coco and summary.done:
        write_coco_table(labelling.store, labelling.categories, model.name)
    print(f"{summary.inputs} inputs: {summary.done} segmented, {summary.failed} failed")
    if summary.inputs:
        print(f"see {printable(labelling.store.address)}")
    if summary.missing_shards:
        raise InputError(
            f"{summary.missing_shards} shards are not done; run the command again to finish them"
        )
    if summary.failed or problems or not summary.inputs:
        raise typer.Exit(1 if summary.done else 2)


class _Work:
    """How far it is: a bar on a terminal, else a line now and then."""

    def __init__(self, missing: "Missing", errors: "Console") -> None:
        self.images = 0
        self._missing, self._errors = missing, errors
        self._shards = 0
        self._told = 0
        self._started = self._line = time.monotonic()

    def follow(self, shards: "Iterable[ShardDone]") -> bool:
        """Show progress until the last shard; returns whether Ctrl-C ended it."""
        from pansight.cli.progress import progress_bar

        with progress_bar(self._errors) as progress:
            task = progress.add_task("labelling", total=self._total())
            try:
                for shard in shards:
                    self._take(shard)
                    progress.update(task, completed=self.images, total=self._total())
                    if not self._errors.is_terminal:
                        self._line_now_and_then()
            except KeyboardInterrupt:
                return True
        return False

    def _take(self, shard: "ShardDone") -> None:
        from pansight.cli.predict import tell

        self.images += shard.images
        self._shards += 1
        for problem in shard.problems:
            if self._told < _SHOWN:
                tell(self._errors, problem)
            elif self._told == _SHOWN:
                self._errors.print("and more; the index holds all failures (status, error)", markup=False)
            self._told += 1

    def _total(self) -> int | None:
        """Images to do; with containers whose images are not known, what the shards that are done promise."""
        if not self._missing.streams:
            return max(self._missing.images, self.images)
        return round(self.images / self._shards * len(self._missing.shards)) if self._shards else None

    def _line_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._line < _LINE_EVERY:
            return
        self._line = now
        self._errors.print(progress_line(self.images, self._total(), now - self._started), markup=False)


def progress_line(done: int, total: int | None, seconds: float) -> str:
    """Done and total, rate, and time left.

    >>> progress_line(500, 2000, 100.0)
    '500 of 2000 images, 5.0 a second, 5 min 0 s left'
    """
    rate = done / seconds if seconds > 0 else 0.0
    line = f"{done} of {total or '?'} images, {rate:.1f} a second"
    if not total or not rate:
        return line
    minutes, left = divmod(round((total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{line}, {f'{hours} h {minutes} min' if hours else f'{minutes} min {left} s'} left"
