"""`pansight train`: from a recipe to weights."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pansight.cli.threads import share_cores
from pansight.errors import InputError
from pansight.files import require_extra


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name (yoso-tiny ...) or a YAML file.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Fine-tune this model (a name of `pansight models`, or a .safetensors file) on --data: "
            "steps, rate and schedule follow from the number of images and the batch.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of this training; runs/RECIPE or runs/MODEL-DATA if not given."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last checkpoint in the folder, with its options; with a recipe, begin where "
            "there is none.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option, such as optimizer.gradient_clip=1."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            help="Repeat a step that a training saved when its loss went wrong, and show where.",
            show_default=False,
        ),
    ] = None,
    no_check: Annotated[
        bool,
        typer.Option("--no-check", help="Skip the check whether the data can be learned from."),
    ] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Print all options and their meaning, and exit.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="'scenes', or a data set, as published or your own: its folder or panoptic JSON."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder or .zip of the images of --data, where they do not lie with the labels.",
            show_default=False,
        ),
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
    steps: Annotated[int | None, typer.Option(help="Total optimizer steps.")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Images per batch, or auto: as many as fit into the free memory.")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            "--freeze",
            metavar="PART",
            help="What not to train: backbone, all (except the class layers), or a pattern of parameters' "
            "names such as 'yoso_neck.*'. May be repeated.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop early after this many validations in a row without a better PQ; 0: never."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Fit four images, estimate time and memory, and exit; nothing is written."
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option("--find-lr", help="Search for a learning rate in 100 short steps, print it, and exit."),
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="tensorboard|wandb|mlflow|csv",
            help="Where figures go besides the CSV files; may be repeated.",
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Print at the end the time spent on data, forward, loss, backward and optimizer.",
        ),
    ] = False,
    devices: Annotated[int | None, typer.Option(help="Devices per machine (data-parallel).")] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Machines; taken from srun, torchrun and Kubernetes.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Base learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    workers: Annotated[int | None, typer.Option(help="Data-loading processes.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed or 16-mixed.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights to start from: a file or a name of `pansight models`.")
    ] = None,
) -> None:
    """Train a model from a recipe, or fine-tune one: pansight train --model yoso-tiny --data labels.json.

    The folder then holds config.yaml, training.csv, validation.csv, last.ckpt (to resume from), and the
    weights best.safetensors and final.safetensors, ready for `pansight predict --weights`.

    SIGTERM and SIGUSR1 save and end it with code 143, Ctrl-C with 130; the same command with --resume
    continues.
    """
    share_cores()
    require_extra("lightning", "train")
    if replay is not None:
        from pansight.training.replay import replay as shown

        for line in shown(replay, _device(device)):
            typer.echo(line)
        return
    from pansight.training.processes import restarted
    from pansight.training.recipes import explained, make_config, read_recipe, recipe_names, with_options

    if model is not None and recipe is not None:
        raise InputError(f"give a recipe ({recipe}) or --model; a recipe starts from a model with --weights")
    folder = _folder(recipe, output, model, data)
    # A scheduler that starts a job again starts it with the command of the first time.
    there = (folder / "config.yaml").is_file()
    resume = (resume and (recipe is None or there)) or (restarted() and there)
    named = recipe
    if resume:
        recipe = str(folder / "config.yaml")
        if not Path(recipe).is_file():
            raise InputError(f"nothing to resume: {recipe} does not exist; give the training's --output")
    fresh = model is not None and not resume
    if recipe is None and not options and not fresh:
        raise InputError(
            f"give a recipe ({', '.join(recipe_names())}, or a YAML file), or --model and --data"
        )
    if fresh and data is None:
        raise InputError("--model needs --data: the data to fine-tune it on")
    if images is not None and data is None:
        raise InputError("--images needs --data: the labels of these images")
    automatic = batch_size == "auto"
    size = None if batch_size is None or automatic else _count(batch_size)
    rewritten: dict[str, Any] = {"freeze": freeze, "log": log}
    listed = {key: json.dumps(value) for key, value in rewritten.items() if value}
    shortcuts: dict[str, Any] = {
        "steps": steps,
        "batch_size": size,
        "optimizer.learning_rate": learning_rate,
        "seed": seed,
        "workers": workers,
        "device": device,
        "precision": None if precision is None else f"'{precision}'",
        "model.start": None if weights is None else json.dumps(weights),
        "validation.patience": patience,
        "profile": True if profile else None,
        "devices": devices,
        "nodes": nodes,
        **listed,
    }
    changes = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    given = [
        *([f"data.map={json.dumps(str(class_map))}"] if class_map is not None else []),
        *([f"data.images={json.dumps(str(images))}"] if images is not None else []),
        *(settings or []),
    ]
    sources = None
    if fresh and model is not None and data is not None:
        from pansight.cli.train_trials import fine_tuned

        config, sources = fine_tuned(
            model, data, size, changes, given, automatic=automatic, prefix="# " if options else ""
        )
        automatic = False
    else:
        content = with_options(read_recipe(recipe) if recipe else {}, changes)
        if resume and named is not None and Path(named).is_file():
            other = with_options(read_recipe(named), changes)
            _tell_unread(make_config(content), make_config(other), named, recipe)
        if data is not None:
            content["data"] = _data(content, data)
        config = make_config(with_options(content, given))
    if options:
        typer.echo(explained(config), nl=False)
        return
    if automatic or dry_run or find_lr:
        from pansight.cli import train_trials
        from pansight.training.sources import open_sources

        sources = sources or open_sources(config)
        if automatic:
            rated = any(one.startswith("optimizer.learning_rate=") for one in (*changes, *given))
            config = train_trials.batch_that_fits(config, sources, rated=rated)
        if find_lr:
            train_trials.show_rate(config, sources)
        if dry_run:
            train_trials.show_dry_run(config, sources, check=not no_check)
        if find_lr or dry_run:
            return
    from pansight.training.checkpoints import TrainingInterruptedError
    from pansight.training.run import train as run

    try:
        run(config, folder, resume=resume, sources=sources, check=not no_check)
    except TrainingInterruptedError as stopped:
        if stopped.first:
            typer.echo(
                f"stopped at step {stopped.step}; go on with: pansight train --resume --output {folder}"
            )
        raise typer.Exit(stopped.exit_code) from None


def _tell_unread(kept: Any, given: Any, name: str, config: str | None) -> None:
    """A resumed training keeps its own options: say so where the recipe given with --resume has others."""
    others = [key for key in type(kept).model_fields if getattr(kept, key) != getattr(given, key)]
    if others:
        typer.echo(
            f"remark: --resume goes on with {config}; {name} has other {', '.join(others)}, which are "
            "ignored; give changes as options (--set KEY=VALUE)",
            err=True,
        )


def _device(name: str | None) -> str:
    from pansight.runtime.devices import choose_device

    return str(choose_device(name or "cpu"))


def _count(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        raise InputError(f"--batch-size {text}: give a number, or auto") from None
    if size < 1:
        raise InputError(f"--batch-size {text}: give a number from 1, or auto")
    return size


def _folder(recipe: str | None, output: Path | None, model: str | None, data: str | None) -> Path:
    if output is not None:
        return output
    if model is not None:
        return Path("runs") / f"{Path(model).stem}-{Path(data or 'training').stem}"
    return Path("runs") / (Path(recipe).stem if recipe else "training")


def _data(content: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The recipe's data section with another source; the augmentation stays.

    Scenes need none, labels on disk do: of a recipe for scenes they get one that suits the model.
    """
    section = content.get("data")
    old = section if isinstance(section, dict) else {}
    kept = {"augmentation": old["augmentation"]} if "augmentation" in old else {}
    if wanted == "scenes":
        return old if old.get("kind") == "scenes" else {"kind": "scenes", **kept}
    if old.get("kind") == "mixture":
        return {**old, "folder": wanted}
    if old.get("kind") in ("dataset", "coco-panoptic"):
        kept = {key: value for key, value in old.items() if not key.startswith(("train_", "validation_"))}
    elif old.get("kind", "scenes") == "scenes":
        from pansight.training.finetuning import augments, suited_augmentation
        from pansight.training.recipes import make_config

        if augments(old.get("augmentation")):
            return {**kept, "kind": "dataset", "folder": wanted}
        suited = suited_augmentation(make_config(content).model)
        kept = {"augmentation": suited} if suited is not None else {}
    return {**kept, "kind": "dataset", "folder": wanted}
