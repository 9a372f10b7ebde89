"""`pansight data`: everything about data sets before any training."""

import typer

data = typer.Typer(
    name="data",
    help="Prepare, check, show and count data sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
