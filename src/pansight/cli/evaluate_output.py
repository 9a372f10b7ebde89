"""What `pansight evaluate` measures, and its output: tables, JSON, a page."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pansight.errors import InputError, PansightError
from pansight.files import check_writable

if TYPE_CHECKING:
    from rich.console import Console

    from pansight.categories import Categories
    from pansight.metrics.evaluation import Evaluation, EvaluationResult
    from pansight.metrics.segment_rows import SegmentRow
    from pansight.reporting.published import Published
    from pansight.reporting.report import LostPicture

_FEW = 5
"""Remarks printed; files hold all."""

_WIDE = 90
"""Terminal width from which a line per category is shown by default."""


@dataclass(frozen=True)
class Measures:
    """What is measured beyond panoptic quality, and by which rules; see `Evaluation`."""

    exact: bool = True
    boundary: bool = False
    average_precision: bool = False
    bootstrap: int = 0
    segments: bool = False

    def start(self, categories: "Categories", instances: bool = False) -> "Evaluation":
        """An empty evaluation of these; `instances`: mask AP is that of instances given besides maps."""
        from pansight.metrics.evaluation import Evaluation

        return Evaluation(
            categories,
            exact=self.exact,
            boundary=self.boundary,
            bootstrap=self.bootstrap,
            average_precision=self.average_precision,
            instances=instances,
            segments=self.segments,
        )


@dataclass(frozen=True)
class Output:
    """What is shown and written."""

    classes: bool | None = None
    compare: bool = False
    json: Path | None = None
    report: Path | None = None
    segments: Path | None = None

    def check(self, inputs: tuple[Path, ...]) -> None:
        """Raise InputError now, not after an hour, where a file cannot be written or is another one too."""
        for target in (self.json, self.report, self.segments):
            if target is None:
                continue
            if any(os.path.realpath(target) == os.path.realpath(path) for path in inputs):
                raise InputError(f"{target} is one of the inputs; choose another name for the result")
            check_writable(target)
        named = {"--json": self.json, "--report": self.report, "--segments": self.segments}
        known: dict[str, str] = {}
        for option, target in named.items():
            if target is None:
                continue
            other = known.setdefault(os.path.realpath(target), option)
            if other != option:
                raise InputError(f"{other} and {option} are both {target}; give them different files")


@dataclass(frozen=True)
class Finished:
    """An evaluation that is over.

    `subject`, `data`: what was scored on what. `views` makes the images of one of the worst, None where
    they are unavailable. `problems`: samples that could not be used. `planned`: how many there are, where
    Ctrl-C ended it before. `own`: published figures of this very model. `facts`: more on how it was made.
    `counterparts`: which categories were scored, where model and data do not have the same.
    """

    subject: str
    data: str
    result: "EvaluationResult"
    mode: str
    views: "Callable[[str], LostPicture | None]"
    problems: tuple[str, ...] = ()
    planned: int | None = None
    own: "tuple[Published, ...]" = ()
    facts: tuple[tuple[str, str], ...] = field(default=())
    counterparts: dict[str, list[str]] | None = None
    segments: "list[SegmentRow] | None" = None


def finish(done: Finished, output: Output) -> None:
    """Print, write, and leave with the exit code that belongs to it."""
    from rich.console import Console

    from pansight.reporting.terminal import print_classes, print_measures, print_published, print_quality

    # in a pipe there is no width to fit
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    result = done.result
    images = result.panoptic.images
    if done.planned is not None:
        console.print(f"PARTIAL: stopped after {images} of {done.planned} images", markup=False)
    wide = sys.stdout.isatty() and console.width >= _WIDE
    if output.classes or (output.classes is None and wide):
        print_classes(console, result.panoptic, result)
        console.print()
    print_quality(console, result.panoptic, result)
    print_measures(console, result)
    published = _published(done, output)
    if published and (output.compare or done.own):
        console.print()
        print_published(console, published if output.compare else done.own)
    _print_remarks(errors, done)
    if output.json is not None:
        _write_json(output.json, done)
        console.print(f"figures are in {output.json}", markup=False)
    if output.segments is not None:
        _write_segments(output.segments, done.segments or [])
        console.print(f"segments are in {output.segments}", markup=False)
    if output.report is not None:
        _write_report(output.report, done, published)
        console.print(f"look at {output.report}", markup=False)
    if done.planned is not None:
        errors.print("stopped by Ctrl-C; the score is of what was finished")
        raise typer.Exit(130)
    if done.problems:
        raise typer.Exit(1 if images else 2)


def _published(done: Finished, output: Output) -> "tuple[Published, ...]":
    """Figures to compare with, those of the model itself first."""
    from pansight.reporting.published import data_set_of, published_figures

    if not output.compare and output.report is None:
        return done.own
    name = data_set_of(done.result.semantic.categories)
    if name is None:
        return done.own
    said = {(row.data, row.pq, row.source) for row in done.own}
    others = (row for row in published_figures(name) if (row.data, row.pq, row.source) not in said)
    return (*done.own, *others)


def _print_remarks(errors: "Console", done: Finished) -> None:
    lines = done.result.warnings
    for line in lines[:_FEW]:
        errors.print(f"remark: {line}", markup=False)
    if len(lines) > _FEW:
        errors.print(f"and {len(lines) - _FEW} more remarks; --json and --report hold them")


def _write_json(path: Path, done: Finished) -> None:
    from pansight.files import atomic_write
    from pansight.version import __version__

    content: dict[str, Any] = {
        **done.result.to_json(),
        "subject": done.subject,
        "data": done.data,
        "mode": done.mode,
        "partial": done.planned is not None,
        "problems": list(done.problems),
        "pansight": __version__,
    }
    if done.counterparts is not None:
        content["categories"] = done.counterparts
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="ascii")


def _write_segments(path: Path, rows: "list[SegmentRow]") -> None:
    from pansight.files import atomic_write
    from pansight.metrics.segment_rows import as_csv

    with atomic_write(path) as temporary:
        temporary.write_text(as_csv(rows), encoding="utf-8", newline="")


def _write_report(path: Path, done: Finished, published: "tuple[Published, ...]") -> None:
    from pansight.reporting.page import write_report
    from pansight.reporting.report import Report

    pictures = []
    for row in done.result.worst:
        try:
            picture = done.views(row.name)
        except PansightError:  # the score stands without its image
            continue
        if picture is not None:
            pictures.append(picture)
    report = Report(
        subject=done.subject,
        data=done.data,
        result=done.result,
        pictures=tuple(pictures),
        published=published,
        problems=done.problems,
        facts=(*done.facts, *_circumstances(done)),
        planned=done.planned,
    )
    write_report(path, report)


def _circumstances(done: Finished) -> list[tuple[str, str]]:
    import platform
    import time
    from importlib.metadata import version

    from pansight.version import __version__

    rules = {
        "exact": "exact: the answer of the reference evaluator (panopticapi), to 1e-12",
        "sane": "sane: the reference's rules, with areas counted in the maps and every crowd excusing",
    }
    return [
        ("rules", rules[done.mode]),
        ("command", shlex.join(["pansight", *sys.argv[1:]])),
        (
            "versions",
            f"Pansight {__version__}, PyTorch {version('torch')}, Python {platform.python_version()}",
        ),
        ("made", time.strftime("%d %B %Y, %H:%M")),
    ]
