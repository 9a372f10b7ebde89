"""`pansight data show`: samples of a data set, with their labels drawn in, on one sheet."""

from pathlib import Path
from typing import Annotated

import typer

from pansight.cli.datasets import (
    CategoriesOption,
    DatasetArgument,
    ImagesOption,
    KindOption,
    PanopticOption,
    SplitOption,
    open_from_options,
)


def show(
    data: DatasetArgument,
    kind: KindOption = None,
    split: SplitOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.png", help="The sheet.")] = Path(
        "samples.png"
    ),
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=400, help="How many samples.")] = 9,
    seed: Annotated[int, typer.Option(help="Seed that chooses the samples.")] = 0,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Only samples that have a segment of this category; may be repeated.",
            show_default=False,
        ),
    ] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Each image next to its labels, not above them.")
    ] = False,
    width: Annotated[int, typer.Option(min=32, max=4096, help="Width of each image, in pixels.")] = 480,
) -> None:
    """Draw a sheet of random samples with their labels and a legend."""
    from rich.console import Console

    from pansight.cli.late_progress import late_progress
    from pansight.cli.predict import tell
    from pansight.cli.stopping import told_when_stopped
    from pansight.datatools.sheet import choose_samples, draw_sheet
    from pansight.errors import InputError
    from pansight.runtime.inputs import printable
    from pansight.runtime.writing import save_picture

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    opened = open_from_options(data, kind, split, images, panoptic, categories)
    wanted = [opened.categories.index(name) for name in category or ()]
    with told_when_stopped("nothing was drawn or written"):
        with late_progress(errors, "looking for samples") as progress:
            chosen = choose_samples(opened, count, seed, wanted, progress)
        if not chosen:
            raise InputError(f"{data}: no sample has {' and '.join(category or ['anything'])}; name another")
        sheet, problems = draw_sheet(opened, chosen, width=width, beside=side_by_side)
    for problem in problems:
        tell(errors, printable(problem))
    if sheet is None:
        raise InputError(f"{data}: none of the {len(chosen)} samples can be shown")
    target = output if output.suffix else output.with_suffix(".png")
    save_picture(target, sheet)
    print(f"{len(chosen) - len(problems)} of {len(opened)} samples; see {printable(target)}")
    if problems:
        raise typer.Exit(1)
