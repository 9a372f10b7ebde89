"""Panoptic truth to COCO panoptic files: in parallel, and taken up again where it was left."""

import errno
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from pansight.data.coco import IMAGES
from pansight.datatools.preparing.lost_objects import Census, CountedSource, Counts, Taken
from pansight.datatools.preparing.plan import Plan, TruthSource
from pansight.datatools.preparing.workers import run_over
from pansight.errors import DataError, InputError, PansightError
from pansight.files import atomic_write, make_folder
from pansight.formats.coco_files import read_ids
from pansight.panoptic import PanopticMap
from pansight.version import __version__

_HOPELESS = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO") if hasattr(errno, name)
)
"""Reasons why a file cannot be written that hold for the next one too."""


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: written, `kept` from an earlier run, or `problem`, one line that says why.

    `rows` go into the table; `counts` says what could not be taken over whole. After a `fatal`
    problem nothing more is tried.
    """

    name: str
    rows: Any = None
    kept: bool = False
    problem: str | None = None
    fatal: bool = False
    counts: Counts | None = None


class Conversion(ABC):
    """Files for every sample of a data set: `start()` gives the outcomes, in order, `save()` the table.

    Attributes:
        written, kept, failed: samples so far.
        stopped: whether writing was given up, as on a full disk.
        census: the objects, and what of them came out less than whole.
    """

    def __init__(self, task: Callable[[int], Outcome], count: int, workers: int = 1) -> None:
        self.written = self.kept = self.failed = 0
        self.stopped = False
        self.rows: list[Any] = []
        self.census = Census()
        self._task = task
        self._count = count
        self._workers = workers

    def __len__(self) -> int:
        return self._count

    def start(self) -> Generator[Outcome, None, None]:
        """Begin, before any thread is started.

        A sample that cannot be read or written is an outcome like any other. Ctrl-C ends it all, and leaves
        no half-written file.
        """
        return self._follow(run_over(self._task, len(self), self._workers))

    @abstractmethod
    def save(self) -> Path:
        """Write the table of all samples that did not fail. Raises InputError when that cannot be done."""

    def when_stopped(self) -> str:
        """What is left of the work when it is stopped, for the user."""
        return "finished work is kept, the same command continues from there"

    def _follow(self, outcomes: Generator[Outcome, None, None]) -> Generator[Outcome, None, None]:
        try:
            for outcome in outcomes:
                if outcome.problem is not None:
                    self.failed += 1
                else:
                    self.rows.append(outcome.rows)
                    self.kept += outcome.kept
                    self.written += not outcome.kept
                    if outcome.counts is not None:
                        self.census.add(outcome.counts)
                self.stopped = outcome.fatal
                yield outcome
                if outcome.fatal:
                    return
        finally:
            outcomes.close()


class Preparation(Conversion):
    """Writes the files of a plan: COCO panoptic.

    Panoptic PNGs that are already there are kept when every pixel's id is that of the source.
    """

    def __init__(
        self, source: TruthSource, plan: Plan, workers: int = 1, *, images: Path | None = None
    ) -> None:
        """`images`: where the images are; the JSON says so, relative to itself, for whoever trains on it.

        Raises InputError when the folder cannot be made, or holds what is read.
        """
        self._images = images
        keep_sources(source, plan.table, plan.pictures)
        super().__init__(_Task(source, plan), len(plan.entries), workers)
        self.plan = plan
        make_folder(plan.pictures)

    def save(self) -> Path:
        content = {
            "images": [image for image, _ in self.rows],
            "annotations": [annotation for _, annotation in self.rows],
            "categories": self.plan.categories.to_json(),
        }
        if self.plan.official:
            return write_json(self.plan.table, content, sort_keys=True, indent=4)
        info = {"description": f"made by pansight {__version__}", "version": "1.0"}
        if self._images is not None:
            with suppress(ValueError):  # on another drive
                # of real paths: a link may lead elsewhere than its name says
                folders = (os.path.realpath(one) for one in (self._images, self.plan.folder))
                info[IMAGES] = Path(os.path.relpath(*folders)).as_posix()
        return write_json(self.plan.table, {"info": info, **content})


@dataclass(frozen=True)
class _Task:
    """The work on one sample; copied into every worker process."""

    source: TruthSource
    plan: Plan

    def __call__(self, index: int) -> Outcome:
        entry = self.plan.entries[index]
        taken = take_truth(self.source, index, entry.image)
        if isinstance(taken, Outcome):
            return taken
        truth = taken.truth
        counts = Counts(taken.objects, taken.crowds, len(truth.segments), taken.lost)
        if self.plan.categories is not truth.categories:
            truth = replace(truth, categories=self.plan.categories)
        rgb, annotation = truth.to_coco(entry.image_id, entry.panoptic)
        path = self.plan.pictures / entry.panoptic
        kept = _holds(path, truth)
        try:
            if not kept:
                write_png(path, rgb)
        except InputError as error:
            return Outcome(entry.image, problem=str(error), fatal=is_hopeless(error))
        size = {"width": truth.width, "height": truth.height}
        image = {"id": entry.image_id, **size, "file_name": entry.image}
        return Outcome(entry.image, (image, annotation), kept, counts=counts)


def take_truth(source: TruthSource, index: int, name: str) -> Taken | Outcome:
    """Sample `index`, which is called `name`, or what became of it."""
    try:
        if isinstance(source, CountedSource):
            return source.take(index)
        truth = source.truth(index)
        crowds = sum(segment.is_crowd for segment in truth.segments)
        return Taken(truth, len(truth.segments), crowds, ())
    except PansightError as error:
        return Outcome(name, problem=" ".join(str(error).split("\n")))
    except MemoryError:
        return Outcome(name, problem=f"{name}: does not fit into memory; use fewer workers")


def write_png(path: Path, pixels: UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "h w"]) -> None:
    """Write RGB, gray, or 16-bit gray. Raises InputError when that cannot be done."""
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def write_json(path: Path, content: Any, **style: Any) -> Path:
    """Write a JSON file atomically. Raises InputError when that cannot be done."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, **style), encoding="ascii")
    return path


def keep_sources(source: TruthSource, *targets: Path) -> None:
    """Raise InputError when one of the files and folders to be written is one that `source` reads."""
    read = {path.resolve() for path in getattr(source, "reads", ())}
    for target in targets:
        if target.resolve() in read:
            raise InputError(f"{target} would be overwritten while it is read; choose another folder")


def is_hopeless(error: InputError) -> bool:
    """Whether a file could not be written for a reason that holds for all others too, such as a full disk."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS


def _holds(path: Path, truth: PanopticMap) -> bool:
    """Whether the file is a panoptic PNG of exactly this map."""
    if not os.path.isfile(path):  # noqa: PTH113  (no error for names that are too long)
        return False
    try:
        ids = read_ids(path)
    except DataError:
        return False
    return ids.shape == truth.ids.shape and bool((ids == truth.ids).all())
