"""`pansight models`: what exists, and where its weights are."""

import json
import sys
from typing import Annotated, Any

import typer

from pansight.cli.streams import can_say


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list in place of a table.")] = False,
) -> None:
    """List the models that have a name."""
    from pansight.zoo.listing import listed_models

    rows = listed_models()
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in ("name", "method", "data", "params", "input", "weights", "PQ"):
        right = column in ("params", "input", "PQ")
        table.add_column(column, justify="right" if right else "left", no_wrap=column == "name")
    sources: list[str] = []
    for row in rows:
        figures = []
        for figure in row["figures"]:
            if figure["source"] not in sources:
                sources.append(figure["source"])
            figures.append(f"{figure['pq']:.1f}{_raised(sources.index(figure['source']) + 1)}")
        table.add_row(
            row["name"],
            row["method"],
            row["data"],
            f"{row['parameters'] / 1e6:.1f}M",
            _input(row),
            row["weights"].removeprefix("to "),
            "\n".join(figures),
        )
    # in a pipe there is no width to fit
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(f"{_raised(number).strip()} panoptic quality by the {source}", markup=False)
    console.print()
    console.print("input: short side and longest side, in pixels")
    console.print("use one by its name: pansight predict --model NAME picture.jpg")


def _raised(number: int) -> str:
    if not can_say("⁰¹²³⁴⁵⁶⁷⁸⁹"):
        return f" [{number}]"
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _input(row: dict[str, Any]) -> str:
    if row["squashed"] is not None:
        return "x".join(map(str, reversed(row["squashed"])))
    if row["short_side"] is None:
        return "any"
    if row["longest_side"] is None:
        return str(row["short_side"])
    return f"{row['short_side']} {row['longest_side']:>4}"
