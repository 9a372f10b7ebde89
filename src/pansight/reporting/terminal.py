"""The score as tables for a terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pansight.metrics.evaluation import EvaluationResult
from pansight.metrics.results import PanopticQualityResult
from pansight.metrics.sizes import SIZES
from pansight.reporting.causes import CAUSES
from pansight.reporting.parts import AP_SOURCES, figure, interval_of, span, value_of
from pansight.reporting.published import Published, sources_of


def print_quality(
    console: Console, quality: PanopticQualityResult, result: EvaluationResult | None = None
) -> None:
    """PQ, SQ, RQ of all, things and stuff in per cent, with intervals where `result` has them."""
    intervals = result and result.intervals
    heads = ["", "PQ", "SQ", "RQ", "n"]
    table = _table([*heads, f"{intervals.confidence:.0%} interval of PQ"] if intervals else heads)
    for name, group in (("all", quality.all), ("things", quality.things), ("stuff", quality.stuff)):
        row = [name, *(figure(value_of(group, key)) for key in ("pq", "sq", "rq"))]
        row.append(str(group.n) if group else "0")
        if intervals:
            row.append(span(interval_of(intervals, name)))
        _add(table, row)
    console.print(table)


def print_classes(
    console: Console, quality: PanopticQualityResult, result: EvaluationResult | None = None
) -> None:
    """One row per category that counts, in the order of the set."""
    heads = ["category", "", "PQ", "SQ", "RQ", "found", "missed", "false"]
    table = _table([*heads, "IoU"] if result else heads, left=("category", ""))
    ious: Sequence[float | None] = result.semantic.ious if result else [None] * len(quality.classes)
    for one, iou in zip(quality.classes, ious, strict=True):
        if one.counted:
            kind = "thing" if one.category.is_thing else "stuff"
            row = [one.category.name, kind, figure(one.pq), figure(one.sq), figure(one.rq)]
            row += [str(one.tp), str(one.fn), str(one.fp)]
            _add(table, [*row, figure(iou)] if result else row)
    console.print(table)


def print_measures(console: Console, result: EvaluationResult) -> None:
    """What else was measured, a line each."""
    for name, value in _measures(result):
        console.print(Text.assemble((f"{name}: ", "bold"), value))


def print_published(console: Console, rows: Sequence[Published]) -> None:
    """Published figures, and under them their sources."""
    table = _table(["published", "setting", "PQ", "things", "stuff", "source"], left=("published", "setting"))
    sources = sources_of(rows)
    for row in rows:
        figures = ("–" if value is None else f"{value:.1f}" for value in (row.pq, row.things, row.stuff))
        name = f"{row.method} (this model)" if row.own else row.method
        _add(table, [name, row.setting, *figures, f"[{sources.index(row.source) + 1}]"])
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(Text(f"[{number}] {source}"))


def _measures(result: EvaluationResult) -> Iterator[tuple[str, str]]:
    lost = result.losses.all
    if lost is not None:
        parts = (f"{cause.title.lower()} {getattr(lost, cause.key):.1f}" for cause in CAUSES)
        yield "points lost", ", ".join(parts)
    by_size = (result.sizes.small, result.sizes.medium, result.sizes.large)
    sizes = (f"{name} {figure(value_of(one.all))}" for name, one in zip(SIZES, by_size, strict=True))
    yield "PQ by size", ", ".join(sizes)
    yield "mIoU", f"{figure(result.semantic.mean_iou)}, pixel accuracy {figure(result.semantic.accuracy)}"
    if result.boundary is not None:
        groups = (result.boundary.all, result.boundary.things, result.boundary.stuff)
        whole, things, stuff = (figure(value_of(group)) for group in groups)
        yield "boundary PQ", f"{whole} (things {things}, stuff {stuff})"
    if result.ap is not None:
        ap = result.ap
        parts = (f"{name} {figure(getattr(ap, name))}" for name in ("small", "medium", "large"))
        yield (
            "mask AP",
            f"{figure(ap.ap)}, AP50 {figure(ap.ap50)}, AP75 {figure(ap.ap75)}, {', '.join(parts)}; "
            f"{AP_SOURCES[ap.source]}",
        )


def _table(heads: Sequence[str], left: Sequence[str] = ("",)) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in left else "right")
    return table


def _add(table: Table, cells: Sequence[str]) -> None:
    """As text: a category may be called [bold]."""
    table.add_row(*(Text(cell) for cell in cells))
