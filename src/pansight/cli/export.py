"""`pansight export`: a model as a file that another runtime runs, compared with torch before it is kept."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pansight.cli.settings import merge_settings
from pansight.cli.threads import share_cores
from pansight.errors import CheckpointError, DataError, InputError

TARGETS = ("onnx", "openvino", "torch", "tensorrt")
TRITON = "triton"
"""not a runtime for a file of its own, but a server that takes ONNX in its place"""

CALIBRATION = 64
"""images that int8 is calibrated on"""

HALF_TOLERANCE = 0.02
"""Share of pixels that may differ in half precision, where no PQ is measured."""

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2", "tensorrt": ".engine"}


def export(
    model: Annotated[
        str | None,
        typer.Argument(help="A name from `pansight models`, or a checkpoint.", show_default=False),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="[onnx|openvino|torch|tensorrt|triton]",
            help="Target (triton: a model repository with the ONNX file); taken from the suffix "
            "of --output if not given.",
            show_default=False,
        ),
    ] = None,
    cut: Annotated[
        str,
        typer.Option(
            metavar="[network|whole]",
            help="network: the host merges (fast on processors); whole: images in, map and table out.",
        ),
    ] = "network",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file: .onnx, .xml, .pt2 or .engine; if not given, MODEL.*, MODEL-int8.* and the like. "
            "Of triton the folder, `model_repository` if not given.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="[float32|float16|int8]", help="Of weights, or of the network (int8).")
    ] = "float32",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Fix the input to this size; any size if not given.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for a named MODEL, native or official.", show_default=False)
    ] = None,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights", help="Random weights for a named MODEL: for timing, without a download."
        ),
    ] = False,
    lowering: Annotated[
        str | None,
        typer.Option(
            metavar="[grid|gather]",
            help="Deformable convolutions as GridSample or as gathers; what suits the target if not given.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="merge.KEY=VALUE", help="Another threshold.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the file with torch before keeping it.")
    ] = True,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Images to compare on, or folders; synthetic if not given.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="'scenes' or a data set: PQ before and after; int8 is calibrated on it.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Samples of --data to score.")] = 100,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER_OR_JSON",
            help="int8: images or a data set to calibrate on; or 'scenes'.",
            show_default=False,
        ),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="int8: reject a file that loses more PQ than this.")
    ] = 1.0,
    list_support: Annotated[
        bool, typer.Option("--list", help="Print what can be exported, and exit.")
    ] = False,
) -> None:
    """Write a model as a file for another runtime, with everything needed to use it inside.

    `pansight predict --model FILE` runs it. By default the file is compared with torch before it is
    kept, and rejected when its maps differ.
    """
    if list_support:
        _print_support()
        return
    if model is None:
        raise InputError("name a MODEL to export, such as yoso-tiny; --list shows what can be exported")
    from pansight.zoo.hub import title_of

    # a folder called triton would hide the package of that name from Python
    repository = (output or Path("model_repository")) if to == TRITON else None
    target = "onnx" if repository is not None else _target(to, output)
    if repository is not None:
        from pansight.export.triton_target import graph_path, write_config

        path = graph_path(repository, title_of(model))
    else:
        path = output or Path(default_title(title_of(model), cut, precision, size) + SUFFIXES[target])
    if path.suffix != SUFFIXES[target]:
        raise InputError(f"{path} must end in {SUFFIXES[target]} for --to {target}; choose such a name")
    _known("--cut", cut, ("network", "whole"))
    _known("--precision", precision, ("float32", "float16", "int8"))
    if lowering is not None:
        _known("--lowering", lowering, ("grid", "gather"))
    fixed = None if size is None else as_size(size)
    merge = merge_settings(settings)

    share_cores()
    from pansight.export.support import Cell, require
    from pansight.zoo import load_model

    if random_weights:
        from pansight.bench.subjects import Subject

        loaded = Subject(model, "torch", random=True).load()
    else:
        loaded = load_model(model, weights=weights)
    require(Cell(loaded.method, target, cut, precision))
    calibrate = calibrate or data
    if precision == "int8" and calibrate is None:
        raise InputError("int8 needs images to calibrate on: give --calibrate FOLDER_OR_JSON, or --data")
    if merge:
        loaded.config = loaded.config.model_copy(update={"merge": loaded.settings_with(merge)})
    from pansight.export.conversion import describe, write_artefact

    if precision == "int8" and verify and data is None:
        data = _truth(calibrate, loaded)

    values: Any = {"cut": cut, "precision": precision, "size": fixed, "lowering": lowering}
    description = describe(loaded, target, name=title_of(model), **values)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            written = Path(folder) / path.name
            feeds = _feeds(description, calibrate) if precision == "int8" else []
            write_artefact(loaded, target, description, written, feeds)  # type: ignore[arg-type]
            lines = []
            if verify:
                lines = _verified(loaded, written, images, data, limit, precision, max_drop)
            for suffix in (".bin", path.suffix):  # the graph last: without it the weights are nothing
                if written.with_suffix(suffix).is_file():
                    written.with_suffix(suffix).replace(path.with_suffix(suffix))
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error
    for line in lines:
        print(line)
    if repository is not None:
        print(f"{write_config(repository, Path(model).stem)}: unverified on a Triton server")
    print(f"{path}: {loaded.method}, {cut} cut for {target}, {precision}, {_megabytes(path):.1f} MB")


def _verified(
    model: Any,
    path: Path,
    images: list[str] | None,
    data: str | None,
    limit: int,
    precision: str,
    max_drop: float,
) -> list[str]:
    """Lines that say how the file compares with torch. Raises CheckpointError where it does not hold."""
    from pansight.export.verification import check_parity, images_of, made_up_images, reference, verify
    from pansight.runtime.engines.opening import EngineOptions, open_engine

    engine = open_engine(path)
    twin = reference(model, engine, EngineOptions())
    found = verify(engine, twin, images_of(images, 50) if images else made_up_images())
    lines = [found.told()]
    if precision == "float32":
        check_parity(found)
    elif precision == "float16" and data is None:
        check_parity(found, HALF_TOLERANCE)
    if data is not None:
        from pansight.export.scoring import samples_of, score_samples

        samples = samples_of(data, limit)
        before, after = (score_samples(one, samples) for one in (twin, engine))
        lines.append(
            f"PQ on {before.samples} samples of {data}: torch {before.pq:.2f}, this file {after.pq:.2f}"
        )
        if before.pq - after.pq > max_drop:
            raise CheckpointError(
                f"{precision} loses {before.pq - after.pq:.2f} PQ on {data} ({before.pq:.2f} to "
                f"{after.pq:.2f}), more than --max-drop {max_drop:g}; nothing was written"
            )
    return lines


def _truth(calibrate: str | None, model: Any) -> str:
    """What int8 is checked on without --data: the labels of what it is calibrated on, else scenes.

    Raises InputError where there is neither.
    """
    from pansight.categories import Categories
    from pansight.export.scoring import samples_of

    try:
        samples_of(calibrate or "", 1)
    except DataError:
        if model.categories == Categories.builtin("scenes"):
            return "scenes"
        raise InputError(
            f"int8 is checked by PQ, and {calibrate} has no labels: give --data, or --no-verify to skip it"
        ) from None
    assert calibrate is not None
    return calibrate


def _feeds(description: Any, source: str | None) -> list[Any]:
    """What int8 is calibrated on: samples of a data set, or images of a folder."""
    from pansight.export.quantise import feeds_of
    from pansight.export.scoring import samples_of
    from pansight.export.verification import images_of

    assert source is not None
    try:
        images = [sample.image for sample in samples_of(source, CALIBRATION)]
    except DataError:
        if source.endswith(".json"):  # what is wrong with it is to be said
            raise
        images = images_of([source], CALIBRATION)
    return list(feeds_of(images, description.preprocess))


def as_size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH. Raises InputError for anything else."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise InputError(f"--size {text}: write HEIGHTxWIDTH in pixels, such as 512x800")
    return int(height), int(width)


def _target(to: str | None, output: Path | None) -> str:
    if to is None and output is not None:
        for target, suffix in SUFFIXES.items():
            if output.suffix == suffix:
                return target
    if to is None:
        raise InputError("choose a target: --to onnx, openvino, torch, tensorrt or triton")
    _known("--to", to, (*TARGETS, TRITON))
    return to


def default_title(name: str, cut: str, precision: str, size: str | None) -> str:
    """The name of a file that is not given: one for each kind of export, so that none replaces another."""
    kinds = (cut if cut != "network" else "", precision if precision != "float32" else "", size or "")
    return "-".join(filter(None, (name, *kinds)))


def _known(option: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise InputError(f"{option} {value} is unknown; use {' or '.join(values)}")


def _megabytes(path: Path) -> float:
    files = {path, *([path.with_suffix(".bin")] if path.suffix == ".xml" else [])}
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _print_support() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pansight.export.support import table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in ("method", "target", "cut", "precision", "status", "what is to be known"):
        shown.add_column(column, no_wrap=column != "what is to be known")
    for cell, found in table():
        shown.add_row(*cell, found.status, found.reason)
    Console(highlight=False, width=150).print(shown)
