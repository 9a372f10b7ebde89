"""`pansight data`: everything about data sets before any training."""

import typer

from pansight.cli.data_check import check
from pansight.cli.data_convert import convert
from pansight.cli.data_map import propose
from pansight.cli.data_prepare import prepare
from pansight.cli.data_show import show
from pansight.cli.data_stats import stats

data = typer.Typer(
    name="data",
    help="Prepare, convert, check, show and count data sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

data.command("check")(check)
data.command("convert")(convert)
data.command("map")(propose)
data.command("prepare")(prepare)
data.command("show")(show)
data.command("stats")(stats)
