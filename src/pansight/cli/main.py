"""`pansight`: gathers the verbs and turns expected failures into one line and an exit code."""

import sys

import typer
from rich.console import Console

from pansight.cli.bench import bench
from pansight.cli.convert import convert
from pansight.cli.data import data
from pansight.cli.demo import demo
from pansight.cli.downloads import showing_downloads
from pansight.cli.evaluate import evaluate
from pansight.cli.export import export
from pansight.cli.models import models
from pansight.cli.predict import predict
from pansight.cli.problems import in_short
from pansight.cli.serve import serve
from pansight.cli.streams import show_notes, tolerate_any_text
from pansight.cli.train import train
from pansight.cli.tune import tune
from pansight.errors import DataProblemsError, PansightError
from pansight.runtime.memory import keep_freed_memory
from pansight.version import __version__

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
        False, "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Real-time panoptic segmentation: every pixel a category, every object an identity."""


app.command()(bench)
app.command()(convert)
app.add_typer(data)
app.command("models")(models)
app.command()(demo)
app.command()(evaluate)
app.command()(export)
app.command()(predict)
app.command()(serve)
app.command()(train)
app.command()(tune)


def run() -> None:
    """Entry point of the console script: exit 2 and one line on an expected error, 130 on Ctrl-C."""
    tolerate_any_text()
    keep_freed_memory()
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    show_notes(errors)
    try:
        with showing_downloads(errors):
            app()
    except PansightError as error:
        errors.print("[bold red]error:[/] ", end="")
        if isinstance(error, DataProblemsError):
            error = DataProblemsError(error.summary, in_short(error.problems))
        errors.print(str(error), markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped by Ctrl-C")
        sys.exit(130)


if __name__ == "__main__":
    run()
