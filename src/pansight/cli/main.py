"""`pansight`: gathers the verbs and turns expected failures into one line and an exit code."""

import sys
import warnings
from typing import TextIO

import typer
from rich.console import Console

from pansight import __version__
from pansight.cli.convert import convert
from pansight.cli.data import data
from pansight.cli.demo import demo
from pansight.cli.evaluate import evaluate
from pansight.cli.models import models
from pansight.cli.predict import predict
from pansight.cli.serve import serve
from pansight.cli.train import train
from pansight.errors import CheckpointWarning, PansightError

app = typer.Typer(
    name="pansight",
    help="Real-time panoptic segmentation: every pixel a category, every object an identity.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"pansight {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Show the version and leave.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Real-time panoptic segmentation: every pixel a category, every object an identity."""


app.command()(convert)
app.add_typer(data)
app.command("models")(models)
app.command()(demo)
app.command()(evaluate)
app.command()(predict)
app.command()(serve)
app.command()(train)


def run() -> None:
    """Entry point of the console script: exit 2 and one line on an expected error, 130 on Ctrl-C."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    _show_notes(errors)
    try:
        app()
    except PansightError as error:
        errors.print("[bold red]error:[/] ", end="")
        errors.print(str(error), markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped by Ctrl-C; what was finished is kept")
        sys.exit(130)


def _show_notes(errors: Console) -> None:
    """What a user should know of a weights file is one line; other warnings look as ever."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, CheckpointWarning):
            errors.print("[bold]note:[/] ", end="")
            errors.print(str(message), markup=False)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


if __name__ == "__main__":
    run()
