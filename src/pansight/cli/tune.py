"""`pansight tune`: merge settings found on validation data, and written into the checkpoint."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pansight.cli.datasets import ImagesOption, KindOption, PanopticOption, SplitOption
from pansight.cli.threads import share_cores
from pansight.errors import InputError
from pansight.files import atomic_write, check_writable


def tune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name from `pansight models`, or a checkpoint.")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", help="Validation data: a panoptic JSON, the folder of a data set, or 'scenes'."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Checkpoint to write; if not given, a tuned file is overwritten, a model of "
            "the zoo becomes NAME-tuned.safetensors.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=2, help="Images to use, spread evenly over the data.", show_default="all"),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    force: Annotated[
        bool, typer.Option("--force", help="Write the settings even if their gain may be chance.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what was found, and write nothing.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Settings and gain as JSON.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the cross-validation's folds and the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    split: SplitOption = None,
    kind: KindOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
) -> None:
    """Find the merge settings of a model on validation data, and write them into its checkpoint.

    The network runs once per image; settings are then tried on its outputs: each field in turn, and a score
    below which segments are void for each category where that pays. The reported gain is
    cross-validated, with a bootstrap interval; if the interval contains 0, nothing is written.
    """
    share_cores()
    from rich.console import Console

    from pansight.cli.progress import progress_bar
    from pansight.data.opening import open_dataset
    from pansight.runtime.devices import choose_device
    from pansight.runtime.evaluating import spread
    from pansight.training.tuning.cached import CachedOutputs
    from pansight.training.tuning.scoring import Scored, score
    from pansight.training.tuning.search import Search
    from pansight.training.tuning.writing import write_settings
    from pansight.zoo.presets import names
    from pansight.zoo.registry import load_model

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    loaded = load_model(model)
    target = output or (Path(f"{model}-tuned.safetensors") if model in names() else Path(model))
    if target.suffix != ".safetensors":
        raise InputError(f"{target} cannot hold settings; give --output FILE.safetensors")
    for file in (*([] if dry_run else [target]), *filter(None, [json_file])):
        check_writable(file)
    scenes = data in ("scenes", "scene-clips")
    dataset = open_dataset(
        data,
        kind=kind,
        split=split or ("val" if scenes else None),
        images=images,
        panoptic=panoptic,
        categories=None if scenes else loaded.categories,
    )
    if dataset.categories != loaded.categories:
        raise InputError(f"{data} has other categories than {model}; tune it on data of its own categories")
    indices = spread(len(dataset), limit)
    if len(indices) < 2:
        raise InputError(
            f"{data} has {len(indices)} images; settings are chosen on some and evaluated on others"
        )
    chosen = choose_device(device)
    start = loaded.merge_settings
    with CachedOutputs(loaded.optimized().to(chosen), chosen) as cached, progress_bar(errors) as progress:
        task = progress.add_task("network", total=len(indices))
        for _ in cached.fill(dataset, indices):
            progress.advance(task)
        for problem in cached.missed:
            errors.print(f"failed: {problem}", markup=False)
        if len(cached) < 2:
            raise InputError(f"{data}: fewer than two images could be read; see the lines above")
        trials = progress.add_task("settings", total=None)

        def evaluate(settings: Any) -> Scored:
            maps = [cached.map(number, settings) for number in range(len(cached))]
            progress.advance(trials)
            return score(maps, cached.truths, loaded.categories)

        search = Search(evaluate, start, len(cached), folds=folds, seed=seed)
        found = search.run(lambda line: errors.print(line, markup=False))
    folds = search.fold_count
    before, after = start.model_dump(), found.settings.model_dump()
    changes = {name: after[name] for name in after if after[name] != before[name]}
    by_name = {loaded.categories.names[place]: bound for place, bound in found.thresholds.items()}
    for name, value in changes.items():
        if name != "void_below_each":
            print(f"merge.{name}: {before[name]:g} -> {value:g}")
    for name, bound in by_name.items():
        print(f"void below, {name}: {bound:.3f}")
    gain = found.gain
    print(
        f"PQ on images held out ({len(cached)} images, {search.trials} settings, {folds} folds): "
        f"{100 * gain.before:.2f} -> {100 * gain.after:.2f}, gain {100 * gain.difference:+.2f} "
        f"[{100 * gain.low:+.2f}, {100 * gain.high:+.2f}] (95 % bootstrap); "
        f"on the images that chose them {100 * found.fitted.difference:+.2f}"
    )
    pays = bool(changes) and gain.low > 0
    written = (pays or (force and bool(changes))) and not dry_run
    notes = {
        "data": Path(data).name,
        "images": len(cached),
        "folds": folds,
        "pq_before": 100 * gain.before,
        "pq_after": 100 * gain.after,
        "gain": 100 * gain.difference,
        "interval": [100 * gain.low, 100 * gain.high],
        "gain_where_chosen": 100 * found.fitted.difference,
    }
    if written:
        write_settings(model, target, found.settings, notes)
        print(f"written: {target}")
    elif not changes:
        print("no settings are better than the present ones; nothing was written")
    elif not pays:
        print("the gain may be chance: its interval contains 0; nothing was written (--force writes anyway)")
    if json_file is not None:
        content = {
            **notes,
            "settings": changes,
            "thresholds": by_name,
            "trials": search.trials,
            "written": str(target) if written else None,
        }
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
