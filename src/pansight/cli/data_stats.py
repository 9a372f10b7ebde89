"""`pansight data stats`: what is in a data set."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.converting import WorkersOption
from pansight.cli.datasets import (
    CategoriesOption,
    DatasetArgument,
    ImagesOption,
    KindOption,
    PanopticOption,
    SplitOption,
    open_from_options,
)
from pansight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from pansight.datatools.statistics import Statistics


def stats(
    data: DatasetArgument,
    kind: KindOption = None,
    split: SplitOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the table as bars, too.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all numbers here, unrounded.", show_default=False),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Count segments, images, pixels and sizes of every class.

    Only the labels are read. Small is below 32 x 32 pixels, large from 96 x 96 on, as in COCO.
    """
    from rich.console import Console

    from pansight.cli.late_progress import late_progress
    from pansight.cli.stopping import told_when_stopped
    from pansight.datatools.preparing.workers import default_workers
    from pansight.datatools.statistics import gather_statistics
    from pansight.files import atomic_write
    from pansight.runtime.inputs import printable

    opened = open_from_options(data, kind, split, images, panoptic, categories)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        stopped = told_when_stopped("nothing was counted or written")
        with stopped, late_progress(errors, "counting") as progress:
            statistics = gather_statistics(opened, workers=workers or default_workers(), progress=progress)
    except DataError as error:
        raise DataError(f"{error}; pansight data check lists all problems") from error
    if json_file is not None:
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(statistics.to_json(), indent=1), encoding="utf-8")
    # in a pipe there is no width to fit
    _print(statistics, Console(highlight=False, width=None if sys.stdout.isatty() else 140))
    if plot is not None:
        from pansight.datatools.statistics_chart import statistics_chart
        from pansight.runtime.writing import save_picture

        target = plot if plot.suffix else plot.with_suffix(".png")
        save_picture(target, statistics_chart(statistics))
        print(f"see {printable(target)}")


def _print(statistics: "Statistics", console: "Console") -> None:
    from rich import box
    from rich.table import Table

    from pansight.datatools.statistics import summary
    from pansight.runtime.inputs import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in (
        "class", "", "segments", "images", "pixels", "mean size", "small", "medium", "large", "crowd",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column in ("class", "") else "right")
    rows = sorted(statistics.classes(), key=lambda one: (not one.is_thing, -one.pixels))
    absent = [one.name for one in rows if not one.pixels]
    for one in rows:
        if one.pixels:
            mean = one.mean_area or 0
            table.add_row(
                printable(one.name),
                "thing" if one.is_thing else "stuff",
                *(f"{count:,}" for count in (one.segments, one.pictures)),
                f"{one.pixels / statistics.pixels:.2%}",
                f"{mean:,.0f}",
                *(f"{count:,}" for count in (one.small, one.medium, one.large)),
                f"{one.crowd:,}" if one.crowd else "",
            )
    console.print(table)
    console.print()
    if absent:
        shown = ", ".join(printable(name) for name in absent[:12])
        more = f" and {len(absent) - 12} more" if len(absent) > 12 else ""
        console.print(f"without any segment: {shown}{more}", markup=False, soft_wrap=True)
    numbers = summary(statistics.segments_a_picture)
    things = summary(statistics.things_a_picture)
    console.print(
        f"{statistics.pictures:,} images, {statistics.empty:,} of them without segments; "
        f"{statistics.void_share:.2%} of the pixels are void"
    )
    console.print(
        f"segments per image: {numbers['min']} to {numbers['max']}, mean {numbers['mean']:.1f} "
        f"(things {things['min']} to {things['max']}, mean {things['mean']:.1f})"
    )
    sizes = statistics.sizes.most_common(4)
    listed = ", ".join(f"{width} x {height} ({count:,})" for (width, height), count in sizes)
    others = len(statistics.sizes) - len(sizes)
    console.print(f"image sizes: {listed}{f' and {others} other sizes' if others > 0 else ''}")
