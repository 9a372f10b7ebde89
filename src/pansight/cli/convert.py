"""`pansight convert`: any weights that Pansight can load, as one native file or a folder for the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from pansight.models.base import PanopticModel


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A released or native file, the name of a model, or hf:USER/MODEL."
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The native file to write, OUT.safetensors, or the folder."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="[native|hf-folder]",
            help="native: one file; hf-folder: weights, configuration and a model card for the Hugging Face "
            "Hub.",
        ),
    ] = "native",
    model: Annotated[
        str | None,
        typer.Option("--model", help="Name of the model that IN is for; otherwise inferred from its shapes."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Half precision: half the size.")] = False,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            "--license",
            help="Licence of these weights, such as Apache-2.0; IN's own if not given.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="hf-folder: the name in the card; OUT's if not given.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="LOCATION",
            help="hf-folder: measure PQ with its 95 % interval on this data set for the card.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of --data.", show_default=False)] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Samples of --data.", show_default=False)
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Of --data: class map, lines `model's category: data's category` or null; see "
            "`pansight data map`.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        bool, typer.Option("--time/--no-time", help="hf-folder: measure the latency on this machine.")
    ] = True,
) -> None:
    """Write weights and everything that belongs to them as one native file, or as a folder for the Hub.

    The file holds the configuration, categories, input size and thresholds: `pansight predict --weights`
    needs nothing else. The folder is uploaded as it is (hf upload USER/MODEL FOLDER); from then on
    `--model hf:USER/MODEL` takes it from there.
    """
    if to not in ("native", "hf-folder"):
        raise InputError(f"--to {to} is not a form of weights: native or hf-folder (files: pansight export)")
    if to == "native":
        if target.suffix != ".safetensors":
            raise InputError(
                f"{target} must end in .safetensors; choose such a name, or a folder with --to hf-folder"
            )
        card = {"--data": data, "--name": name, "--split": split, "--limit": limit, "--map": class_map}
        for option, value in card.items():
            if value is not None:
                raise InputError(f"{option} is for the model card; give --to hf-folder with it")
        if target.exists() and Path(source).exists() and target.samefile(source):
            raise InputError(f"{target} is the file to be converted; choose another name for the result")
    else:
        from pansight.cli.hub_folder import check_folder

        check_folder(target)
        if class_map is not None and data is None:
            raise InputError("--map says how --data's categories are called in the model; give --data")
    share_cores()
    from pansight.zoo import load_model, save_native
    from pansight.zoo.methods import parameter_count

    loaded = load_model(source) if model is None else load_model(model, weights=source)
    extra = _said(source, model)
    if licence is not None:
        extra["licence"] = licence
    if to == "hf-folder":
        _write_folder(
            target, loaded, extra, name or target.resolve().name, half, data, split, limit, class_map, time
        )
        return
    save_native(loaded, target, dtype="float16" if half else None, extra=extra)
    categories = loaded.categories
    print(
        f"{target}: {loaded.method} for {categories.name} ({len(categories)} categories), "
        f"{parameter_count(loaded) / 1e6:.1f} M parameters, {target.stat().st_size / 1e6:.1f} MB"
    )


def _said(source: str, model: str | None) -> dict[str, Any]:
    """What is known of the weights: by the native file itself, else by the preset they were released for."""
    from pansight.zoo.header import read_header
    from pansight.zoo.hub import fetch_from_hub, is_hub_name
    from pansight.zoo.presets import EMBEDDED, embedded_path, names, preset
    from pansight.zoo.registry import is_native

    said: dict[str, Any]
    if source in EMBEDDED:
        said = {"licence": preset(source).licence, **read_header(embedded_path(source)).extra}
        if preset(source).categories_name == "scenes":
            said.setdefault("data", "synthetic scenes (pansight.scenes)")
        return said
    if source not in names():
        path = fetch_from_hub(source) if is_hub_name(source) else Path(source)
        if is_native(path):
            return dict(read_header(path).extra)
    if (model or source) not in names():
        return {}
    spec = preset(model or source)
    if not spec.weights or Path(source).name not in (spec.name, spec.weights[0].name):
        return {}  # somebody's own weights of that architecture
    said = {"description": spec.description, "licence": spec.weights[0].licence}
    if spec.figures:
        said |= {"pq": spec.figures[0].pq, "pq_source": spec.figures[0].source}
    return said


def _write_folder(
    folder: Path,
    model: "PanopticModel",
    extra: dict[str, Any],
    name: str,
    half: bool,
    data: str | None,
    split: str | None,
    limit: int | None,
    class_map: Path | None,
    time: bool,
) -> None:
    import tempfile

    from rich.console import Console

    from pansight.cli.hub_folder import measure_quality, measure_time, write_hub_folder
    from pansight.cli.streams import note
    from pansight.zoo import save_native

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    quality = timing = None
    with tempfile.TemporaryDirectory() as temporary:
        # what is measured is what is uploaded: half precision may cost something
        measured = Path(temporary) / "model.safetensors"
        save_native(model, measured, dtype="float16" if half else None)
        if data is not None:
            quality = measure_quality(str(measured), data, split, limit, class_map)
        if time:
            with errors.status("measuring the latency"):
                timing = measure_time(str(measured))
    said = extra.get("licence")
    write_hub_folder(
        folder,
        model,
        name=name,
        extra=extra,
        half=half,
        licence=None if said is None else str(said),
        quality=quality,
        timing=timing,
    )
    if said is None:
        note(errors, "these weights state no licence; name it: --licence Apache-2.0")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{folder}: model.safetensors, config.json and README.md, {size:.1f} MB")
    print(f"look at README.md, then upload it: hf upload USER/{name} {folder}")
