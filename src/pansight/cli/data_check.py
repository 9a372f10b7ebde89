"""`pansight data check`: the doctor of panoptic data."""

import json
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
    open_from_options,
)
from pansight.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from pansight.datatools.checking import Report


def check(
    data: DatasetArgument,
    kind: KindOption = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="train, val ...; all of them if not given.", show_default=False),
    ] = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--labels-only", help="Decode the images, too, or check only the labels."),
    ] = True,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write copies of JSON and panoptic PNGs here, fixed where that is safe.",
            show_default=False,
        ),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Fix the files themselves; this cannot be undone.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Fix even what drops, joins or makes void more than 2 % of a set's segments or pixels.",
        ),
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the whole report here.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Files to list at most; 0 lists all.")] = 50,
    workers: WorkersOption = None,
) -> None:
    """Find what is wrong with a data set, and fix what is safe to fix.

    What would drop, join or make void more than 2 % of a set's segments or labelled pixels is left alone, and
    so are segments of categories whose isthing is missing or doubted; --force overrides all but that.

    A folder with several splits is checked whole. Every problem is listed by file, with what helps.

    Exit code: 0 all well, or notes only; 1 warnings; 2 errors. After --fix or --in-place, of what is left.
    """
    from rich.console import Console

    from pansight.cli.late_progress import late_progress
    from pansight.cli.stopping import told_when_stopped
    from pansight.data.videos import VideoDataset
    from pansight.datatools.checking import Report, check_files, check_samples, find_panoptic_files
    from pansight.datatools.checking.clips import check_clips
    from pansight.datatools.preparing.classes import load_categories
    from pansight.datatools.preparing.workers import default_workers
    from pansight.files import atomic_write

    if fix is not None and in_place:
        raise InputError("--fix writes copies, --in-place the files themselves; choose one")
    if force and fix is None and not in_place:
        raise InputError("--force goes with --fix FOLDER or --in-place; give one of them")
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    number = workers or default_workers()
    # Files of the COCO panoptic form are looked into; what has another form is checked through its reader.
    zipped = any(path is not None and path.suffix == ".zip" for path in (images, panoptic))
    raw = zipped or kind not in (None, "coco", "cityscapes-panoptic") or data in ("scenes", "scene-clips")
    raw = raw or (kind is None and _is_video(data))
    sets = [] if raw else find_panoptic_files(data, split, images, panoptic)
    left = "nothing was reported, and no file changed or written"
    with told_when_stopped(left), late_progress(errors, "checking") as progress:
        if sets:
            report = check_files(
                sets,
                location=data,
                categories=load_categories(categories) if categories else None,
                pictures=pictures,
                fix=fix,
                in_place=in_place,
                force=force,
                workers=number,
                progress=progress,
            )
        elif fix is not None or in_place:
            raise InputError(
                f"{data}: only JSON and PNG files of the COCO panoptic form can be fixed; "
                "make them with pansight data prepare"
            )
        else:
            report = Report(data)
            for part in _splits(data, kind, split, panoptic):
                opened = open_from_options(data, kind, part, images, panoptic, categories)
                name = data if part is None else f"{data} ({part})"
                report.merge(
                    check_samples(opened, name, pictures=pictures, workers=number, progress=progress)
                )
                if isinstance(opened, VideoDataset):
                    report.merge(check_clips(opened, name, progress=progress))
    if json_file is not None:
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(report.to_json(), indent=1), encoding="utf-8")
    _print(report, limit, fix is not None or in_place)
    worst = report.worst()
    if worst is not None:
        raise typer.Exit(2 if worst.value == "error" else 1)


def _is_video(data: str) -> bool:
    """Whether a folder holds a data set of videos, or a JSON is nested by video."""
    from pansight.data.layouts import Places
    from pansight.data.videos import cityscapes_vps_splits, is_nested, kitti_step_splits, vipseg_splits

    if not Path(data).is_dir():
        return is_nested(Path(data))
    finders = (cityscapes_vps_splits, kitti_step_splits, vipseg_splits)
    return any(find(Path(data), Places()) for find in finders)


def _splits(data: str, kind: str | None, split: str | None, panoptic: Path | None) -> list[str | None]:
    """The splits to check: the one that was asked for, else all that there are."""
    from pansight.data.opening import dataset_splits

    if split is not None or not Path(data).is_dir():
        return [split]
    return list(dataset_splits(data, kind=kind, panoptic=panoptic))


def _print(report: "Report", limit: int, asked: bool) -> None:
    """The problems by file, then a table of their kinds, then the verdict."""
    import sys

    from rich.console import Console
    from rich.text import Text

    from pansight.runtime.inputs import printable

    # in a pipe there is no width to fit
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    colors = {"error": "bold red", "warning": "yellow", "note": "dim"}
    files = report.by_file()
    for number, (file, findings) in enumerate(files.items()):
        if limit and number == limit:
            console.print(f"... and {len(files) - limit} more files; --limit 0 lists all", style="dim")
            break
        console.print(Text(printable(file), style="bold"))
        for finding in findings:
            severity = finding.kind.severity.value
            after = " [fixed]" if report.fixed else " [fixable with --fix]"
            console.print(
                Text.assemble(
                    "  ",
                    (f"{severity}: ", colors[severity]),
                    f"{finding.kind.title}: {printable(finding.text)}",
                    (after, "green") if finding.fixable else "",
                )
            )
    if files:
        console.print()
        _print_kinds(report, console, colors)
        console.print()
    _print_verdict(report, console, asked)


def _print_kinds(report: "Report", console: "Console", colors: dict[str, str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in ("", "problem", "cases", "files", "what helps", "--fix"):
        table.add_column(column, justify="right" if column in ("cases", "files") else "left")
    for kind, cases in report.counts().items():
        own = [finding for finding in report.findings if finding.kind == kind]
        table.add_row(
            Text(kind.severity.value, style=colors[kind.severity.value]),
            f"{kind.title} ({kind.code})",
            str(cases),
            str(len({finding.file for finding in own})),
            Text(kind.remedy),
            Text(kind.fix if any(finding.fixable for finding in own) else ""),
        )
    console.print(table)


def _print_verdict(report: "Report", console: "Console", asked: bool) -> None:
    from pansight.runtime.inputs import printable

    for score in report.scores:
        quality = "nothing to score" if score.pq is None else f"PQ {100 * score.pq:.2f}"
        refused = f", {score.refused} refused" if score.refused else ""
        fixed = ""
        if not score.perfect and score.perfect_once_fixed:
            fixed = "; PQ 100.00 after the fix" if report.fixed else "; PQ 100.00 once it is fixed"
        scored = f"{quality} ({score.images} images{refused}){fixed}"
        console.print(f"{printable(score.file)}: truth against itself: {scored}", markup=False)
    if report.fixed:
        told = "fixed" if any(finding.fixable for finding in report.findings) else "nothing to fix here"
        console.print(
            f"{told}: see {printable(report.fixed)} ({report.rewritten} panoptic PNGs rewritten)",
            markup=False,
        )
    elif asked:
        console.print("nothing was fixed, and no file written: see fix-held above", markup=False)
    left = {"error": 0, "warning": 0}
    for finding in report.remaining():
        if finding.kind.severity.value in left:
            left[finding.kind.severity.value] += finding.cases
    what = " and ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in left.items() if count)
    fixable = 0 if report.fixed else sum(finding.cases for finding in report.findings if finding.fixable)
    advice = f"; --fix FOLDER fixes {fixable} cases" if fixable else ""
    console.print(
        f"{report.images} images, {report.segments} segments: "
        f"{what or 'no problems'}{' left' if what and report.fixed else ''}{advice}",
        markup=False,
    )
