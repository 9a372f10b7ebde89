"""`pansight train`: from a recipe to weights."""

from pathlib import Path
from typing import Annotated

import typer

from pansight.errors import InputError
from pansight.files import require_extra


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a recipe, or a YAML file. Not needed with --resume.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of this training.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any option: key.sub=value. May be repeated.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Base learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make samples.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed or 16-mixed.")] = None,
    start: Annotated[str | None, typer.Option("--weights", help="Weights to start from.")] = None,
) -> None:
    """Train a model by a recipe."""
    from pansight.training.recipes import make_config, read_recipe, with_options

    folder = output or Path("runs") / (Path(recipe).stem if recipe else "")
    if recipe is None:
        if not resume or output is None:
            raise InputError("give a recipe, or --resume with the --output folder of a training")
        recipe = str(output / "config.yaml")
    elif resume and (folder / "config.yaml").is_file():
        recipe = str(folder / "config.yaml")
    shortcuts = {
        "steps": steps,
        "batch_size": batch_size,
        "optimizer.learning_rate": learning_rate,
        "seed": seed,
        "workers": workers,
        "device": device,
        "precision": None if precision is None else f"'{precision}'",
        "model.start": start,
    }
    options = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    config = make_config(with_options(read_recipe(recipe), [*options, *(settings or [])]))
    require_extra("lightning", "train")
    from pansight.training.checkpoints import InterruptedTraining
    from pansight.training.run import train as run

    try:
        run(config, folder, resume=resume)
    except InterruptedTraining as stopped:
        typer.echo(f"stopped at step {stopped.step}; go on with: pansight train --resume --output {folder}")
        raise typer.Exit(130) from None
