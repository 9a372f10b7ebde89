"""Options of `pansight evaluate` for what is shown and written."""

from pathlib import Path
from typing import Annotated

import typer

SHOWN = "What is shown and written"
"""Group of options in the help."""

ClassesOption = Annotated[
    bool | None,
    typer.Option(
        "--classes/--no-classes",
        help="One line per category; by default on a terminal that is wide enough.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]

CompareOption = Annotated[
    bool,
    typer.Option(
        "--compare", help="Show the papers' published figures on this data set, too.", rich_help_panel=SHOWN
    ),
]

JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write all figures, unrounded.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]

SegmentsOption = Annotated[
    Path | None,
    typer.Option(
        "--segments",
        metavar="FILE.csv",
        help="Write a row for each segment: matched, missed, false, excused, with IoU, areas, score.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]

ReportOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Write a self-contained HTML page.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
