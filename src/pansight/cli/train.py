"""`pansight train`: from a recipe to weights."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pansight.errors import InputError
from pansight.files import require_extra


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name (yoso-tiny ...) or a YAML file.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of this training; runs/RECIPE if not given."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in the folder, with its options."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option, such as optimizer.gradient_clip=1."),
    ] = None,
    no_check: Annotated[
        bool,
        typer.Option("--no-check", help="Do not look first whether the data can be learned from."),
    ] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Print all options and their meaning, and leave.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="'scenes', or the folder of a data set, as published or your own."),
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.yaml",
            help="Class map of --data, lines `model's category: data's category` or null.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one pass.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Base learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make samples.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed or 16-mixed.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights to start from: a file or a name of `pansight models`.")
    ] = None,
) -> None:
    """Train a model by a recipe.

    The folder then holds config.yaml, training.csv, validation.csv, last.ckpt (to resume from), and the
    weights best.safetensors and final.safetensors, ready for `pansight predict --weights`.
    """
    require_extra("lightning", "train")
    from pansight.training.recipes import explained, make_config, read_recipe, recipe_names, with_options

    folder = _folder(recipe, output)
    given = recipe
    if resume:
        recipe = str(folder / "config.yaml")
        if not Path(recipe).is_file():
            raise InputError(f"nothing to resume: there is no {recipe}; name the training's --output")
    if recipe is None and not options:
        raise InputError(f"give a recipe ({', '.join(recipe_names())}, or a YAML file)")
    shortcuts: dict[str, Any] = {
        "steps": steps,
        "batch_size": batch_size,
        "optimizer.learning_rate": learning_rate,
        "seed": seed,
        "workers": workers,
        "device": device,
        "precision": None if precision is None else f"'{precision}'",
        "model.start": weights,
    }
    changes = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    content = with_options(read_recipe(recipe) if recipe else {}, changes)
    if resume and given is not None and Path(given).is_file():
        _tell_unread(
            make_config(content), make_config(with_options(read_recipe(given), changes)), given, recipe
        )
    if data is not None:
        content["data"] = _data(content.get("data"), data)
    if class_map is not None:
        content = with_options(content, [f"data.map={class_map}"])
    config = make_config(with_options(content, settings or []))
    if options:
        typer.echo(explained(config), nl=False)
        return
    from pansight.training.checkpoints import TrainingInterruptedError
    from pansight.training.run import train as run

    try:
        run(config, folder, resume=resume, check=not no_check)
    except TrainingInterruptedError as stopped:
        if stopped.first:
            typer.echo(
                f"stopped at step {stopped.step}; go on with: pansight train --resume --output {folder}"
            )
        raise typer.Exit(130) from None


def _tell_unread(kept: Any, given: Any, name: str, config: str | None) -> None:
    """A resumed training keeps its own options: say so where the recipe beside --resume has others."""
    others = [key for key in type(kept).model_fields if getattr(kept, key) != getattr(given, key)]
    if others:
        typer.echo(
            f"remark: --resume goes on with {config}; {name} has other {', '.join(others)}, which were not "
            "taken; give changes as options (--set KEY=VALUE)",
            err=True,
        )


def _folder(recipe: str | None, output: Path | None) -> Path:
    if output is not None:
        return output
    return Path("runs") / (Path(recipe).stem if recipe else "training")


def _data(section: Any, wanted: str) -> dict[str, Any]:
    """The recipe's data section with another source; the augmentation stays."""
    old = section if isinstance(section, dict) else {}
    kept = {"augmentation": old["augmentation"]} if "augmentation" in old else {}
    if wanted == "scenes":
        return old if old.get("kind") == "scenes" else {"kind": "scenes", **kept}
    if old.get("kind") == "mixture":
        return {**old, "folder": wanted}
    if old.get("kind") in ("dataset", "coco-panoptic"):
        kept = {key: value for key, value in old.items() if not key.startswith(("train_", "validation_"))}
    return {**kept, "kind": "dataset", "folder": wanted}
