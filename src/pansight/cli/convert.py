"""`pansight convert`: any weights file that Pansight can load, as one native file."""

from pathlib import Path
from typing import Annotated

import typer

from pansight.errors import InputError


def convert(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A released or native file, or the name of a model.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="The native file to write.")],
    model: Annotated[
        str | None,
        typer.Option("--model", help="Name of the model that IN is for; else told by its shapes."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Half precision: half the size.")] = False,
) -> None:
    """Write weights and everything that belongs to them as one native file.

    The file holds the configuration, categories, input size and thresholds: `pansight predict --weights`
    needs nothing else.
    """
    if target.suffix != ".safetensors":
        raise InputError(f"{target} must end in .safetensors; choose such a name")
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise InputError(f"{target} is the file to be converted; choose another name for the result")
    from pansight.zoo import load_model, save_native
    from pansight.zoo.methods import parameter_count

    loaded = load_model(source) if model is None else load_model(model, weights=source)
    save_native(loaded, target, dtype="float16" if half else None)
    categories = loaded.categories
    print(
        f"{target}: {loaded.method} for {categories.name} ({len(categories)} categories), "
        f"{parameter_count(loaded) / 1e6:.1f} M parameters, {target.stat().st_size / 1e6:.1f} MB"
    )
