"""`pansight models`: what exists, and where its weights are."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pansight.cli.streams import can_say

if TYPE_CHECKING:
    from pansight.zoo import ModelSpec


def models(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="These models only.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="What each model is, its licence, and its file: address, size, checksum."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Download every published file, and report which are available, their SHA-256 and "
            "size, and whether "
            "they load into their models, every key and shape.",
        ),
    ] = False,
) -> None:
    """List the named models.

    Exit code of --check: 0 all files are fine, 1 some are not, 2 none is.
    """
    from pansight.zoo.listing import listed_models

    if check:
        from pansight.zoo import available, preset

        _check([preset(name) for name in wanted] if wanted else available(), as_json)
        return
    rows = listed_models(wanted)
    if as_json:
        print(json.dumps(rows, indent=2))
    elif verbose:
        _print_all(rows)
    else:
        _print_table(rows)


def _check(specs: "list[ModelSpec]", as_json: bool) -> None:
    """Try the published files one by one, each told as soon as it is known."""
    from pansight.errors import InputError
    from pansight.zoo.checking import check_files, files_of

    if not files_of(specs):
        raise InputError("these models have no published files; name others, see `pansight models --verbose`")
    checks = []
    for found in check_files(specs):
        checks.append(found)
        if as_json:
            continue
        if found.path is None:
            print(f"failed  {found.file.name}: not fetched", flush=True)
        else:
            fits = f"fits {', '.join(found.fits)}" if found.fits else "fits no model"
            state = "ok     " if found.well else "failed "
            print(
                f"{state} {found.file.name}: {found.size} bytes, SHA-256 {found.sha256}, {fits}", flush=True
            )
        for problem in found.problems:
            print(f"        {problem}", flush=True)
    well = sum(found.well for found in checks)
    if as_json:
        print(json.dumps([found.to_json() for found in checks], indent=2))
    else:
        print(f"{well} of {len(checks)} files are fine")
        fresh = [found for found in checks if found.is_new and found.well]
        if fresh:
            print("not yet in src/pansight/models/released_files.py; compare them with others' before:")
        for found in fresh:
            print(f'    {found.file.name}: sha256="{found.sha256}", size={found.size}')
    if well < len(checks):
        raise typer.Exit(1 if well else 2)


def _print_all(rows: list[dict[str, Any]]) -> None:
    """A paragraph a model."""
    for row in rows:
        print(f"{row['name']}: {row['description']}")
        size = _input(row).replace("  ", " ")
        print(
            f"    {row['method']}, {row['parameters'] / 1e6:.1f} M parameters, {row['things']} things and "
            f"{row['stuff']} stuff of {row['data']}, input {size}"
        )
        for figure in row["figures"]:
            speed = f", {figure['fps']} images a second on {figure['hardware']}" if figure["fps"] else ""
            print(f"    PQ {figure['pq']:.1f}{speed}: {figure['source']}")
        if row["weights"] == "none":
            print("    weights: none are published; an architecture for training")
        else:
            print(f"    weights: {row['weights']}; licence: {row['licence']}")
        for file in row["files"]:
            bytes_ = "size unknown" if file["size"] is None else f"{file['size'] / 1e6:.1f} MB"
            digest = "" if file["sha256"] is None else f", SHA-256 {file['sha256']}"
            print(f"    {file['url']} ({bytes_}{digest})")
            print(f"    from {file['page']}, kept as {file['cache']}")


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
    console.print("use one by its name: pansight predict --model NAME street.jpg")


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
