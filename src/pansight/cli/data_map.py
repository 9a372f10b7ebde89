"""`pansight data map`: which category of one set is which of another, as a file to correct by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pansight.categories import Categories


def propose(
    model: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="The first category set: a model's name or file, a data set, a JSON, or coco, "
            "cityscapes, ade20k, mapillary, scenes.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(metavar="B", help="The second category set, given the same way.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write to; printed if not given.", show_default=False),
    ] = None,
) -> None:
    """Propose a class map from names and synonyms: lines `A's category: B's category`, or null.

    Look it over, correct it, and give it to `evaluate`, `train`, `predict` or `data convert` with --map.
    Several of A's categories may be the same of B's when a model is scored; a list, [car, truck], joins
    several of B's.
    """
    from pansight.data.class_maps import proposed, to_yaml
    from pansight.files import atomic_write

    ours, theirs = _categories(model), _categories(data)
    mapping = proposed(ours, theirs)
    used = {name for name in mapping.values() if name is not None}
    missing = [name for name in theirs.names if name not in used]
    header = [f"{ours.name} : {theirs.name}", "null: no counterpart; correct wrong lines"]
    if missing:
        header.append(f"not used of {theirs.name}: {', '.join(missing)}")
    text = to_yaml(mapping, header)
    if output is None:
        typer.echo(text, nl=False)
        return
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"{len(used)} of {len(ours)} categories have a counterpart; look at {output}")


def _categories(text: str) -> "Categories":
    """The categories of a model, a data set, a JSON or a built-in set, whichever the text names."""
    from pansight.categories import Categories, read_categories
    from pansight.categories.table import BUILTIN
    from pansight.data.opening import open_dataset
    from pansight.errors import CategoryError, InputError

    if not text.strip():
        raise InputError("a name is empty; give a model, a data set, a JSON or a built-in set")
    if text in BUILTIN:
        return Categories.builtin(text)
    path = Path(text)
    if path.is_dir():
        return open_dataset(path).categories
    if path.suffix == ".json":
        return read_categories(text)
    from pansight.zoo.header import read_header
    from pansight.zoo.hub import fetch_from_hub, is_hub_name
    from pansight.zoo.presets import names, preset

    if is_hub_name(text):
        return read_header(fetch_from_hub(text)).categories
    if path.is_file():
        return read_header(path).categories
    if text in names():
        return preset(text).categories
    try:
        return read_categories(text)
    except CategoryError as error:
        raise InputError(
            f"{text} is not a model, data set, JSON or built-in set of categories; check the name"
        ) from error
