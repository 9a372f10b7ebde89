"""`pansight evaluate --video TRUTH.json PREDICTIONS.json`: VPQ and STQ of any tool's files."""

import json as json_module
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pansight.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from pansight.metrics.video_evaluation import VideoResult

_FEW = 5
"""Remarks printed; the JSON holds all."""


def run_video(
    truth: Path,
    predictions: Path,
    truth_masks: Path | None,
    prediction_masks: Path | None,
    categories: str | None,
    *,
    exact: bool,
    missing: str,
    workers: int,
    classes: bool,
    json: Path | None,
) -> None:
    """Score, print and write. Raises InputError and DataProblemsError, which lists all that is wrong."""
    if missing not in ("error", "void"):
        raise InputError(f"--missing {missing} is unknown; use error or void")
    from rich.console import Console

    from pansight.cli.datasets import as_categories
    from pansight.cli.progress import progress_bar
    from pansight.metrics.coco_evaluation import refusal
    from pansight.metrics.remarks import EvaluationWarning
    from pansight.metrics.video_evaluation import score_videos
    from pansight.metrics.video_pairs import pair_videos

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    table = None if categories is None else as_categories(categories)
    paired = pair_videos(truth, predictions, truth_masks, prediction_masks, table)
    if isinstance(paired, list):
        raise refusal(paired)
    with progress_bar(errors) as progress:
        task = progress.add_task("scoring", total=sum(map(len, paired.clips.values())))
        evaluation, problems = score_videos(
            paired,
            exact=exact,
            missing="void" if missing == "void" else "error",
            workers=workers,
            progress=lambda done, total: progress.update(task, completed=done),
        )
    if not problems and not evaluation.frames:
        problems.append(f"{truth}: nothing to score: it lists no frames")
    if problems:
        raise refusal(problems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)  # they are printed
        result = evaluation.compute()
    _print(result, classes)
    _print_remarks(errors, result)
    if json is not None:
        _write(json, result, predictions, truth)
        typer.echo(f"figures are in {json}")


def _print(result: "VideoResult", classes: bool) -> None:
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pansight.metrics.video_evaluation import AVERAGES

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    groups = ("all", "things", "stuff")

    def table(*heads: str) -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for head in heads:
            made.add_column(head, justify="left" if head in ("", "window", "clip") else "right")
        return made

    rows = table("window", "VPQ", "things", "stuff", "SQ", "RQ")
    for window, quality in result.vpq.items():
        own = None if quality is None else quality.all
        figures = [None if quality is None else getattr(quality, group) for group in groups]
        rows.add_row(
            f"{window} frame{'s' if window > 1 else ''}",
            *(_figure(None if one is None else one.pq) for one in figures),
            _figure(None if own is None else own.sq),
            _figure(None if own is None else own.rq),
        )
    for windows in AVERAGES:
        means = [result.mean(windows, group) for group in groups]
        name = "mean of " + ", ".join(map(str, windows))
        rows.add_row(name, *(_figure(None if one is None else one.pq) for one in means), "", "")
    console.print(rows)
    console.print()
    rows = table("clip", "STQ", "AQ", "IoU", "tubes", "id switches", "frames")
    scores = list(result.clips.items()) if classes and len(result.clips) > 1 else []
    for name, score in [*scores, ("all", result.tracking)]:
        rows.add_row(
            Text(name), _figure(score.stq), _figure(score.aq), _figure(score.iou),
            str(score.tubes), str(score.switches), str(score.frames),
        )  # fmt: skip
    console.print(rows)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _print_remarks(errors: "Console", result: "VideoResult") -> None:
    for line in result.warnings[:_FEW]:
        errors.print(f"remark: {line}", markup=False)
    if len(result.warnings) > _FEW:
        errors.print(f"and {len(result.warnings) - _FEW} more remarks; --json holds them")


def _write(path: Path, result: "VideoResult", predictions: Path, truth: Path) -> None:
    from pansight.files import atomic_write
    from pansight.version import __version__

    content: dict[str, Any] = {
        **result.to_json(),
        "subject": str(predictions),
        "data": str(truth),
        "pansight": __version__,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json_module.dumps(content, indent=1, allow_nan=False), encoding="ascii")
