"""A training from a configuration to exported weights."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback as LightningCallback
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from pansight.data.transforms import generator_for
from pansight.errors import CheckpointError, InputError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.runtime.devices import choose_device
from pansight.training.averaging import WeightAverage
from pansight.training.building import build_model
from pansight.training.checkpoints import (
    Checkpoints,
    WholeFiles,
    read_checkpoint,
    resume_point,
    set_aside,
)
from pansight.training.cluster import Cluster, Place, detect, placed
from pansight.training.config import TrainConfig
from pansight.training.curves import write_curves
from pansight.training.data_module import PanopticData
from pansight.training.folder import claim
from pansight.training.freezing import Frozen
from pansight.training.journal import Journal
from pansight.training.loggers import check_loggers, make_loggers
from pansight.training.module import CATEGORIES, TrainingModule
from pansight.training.precheck import check_sources
from pansight.training.processes import Processes, SharedNorms, parallel_strategy
from pansight.training.profiling import Profile
from pansight.training.progress import Report
from pansight.training.recipes import to_yaml
from pansight.training.sources import Sources, open_sources
from pansight.training.validation import Validation
from pansight.training.voice import only_our_words
from pansight.zoo.methods import parameter_count
from pansight.zoo.native import save_native
from pansight.zoo.strict import compare

BEST, FINAL, CONFIG = "best.safetensors", "final.safetensors", "config.yaml"


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    sources: Sources | None = None,
    console: Console | None = None,
    check: bool = True,
) -> PanopticModel:
    """Train, and leave in `folder`: config.yaml, logs, `last.ckpt`, `best.safetensors`, `final.safetensors`.

    Args:
        config: all settings.
        folder: of this training; must be new or empty, or of a training that never reached a checkpoint,
            unless it is resumed.
        resume: go on from `last.ckpt` in the folder, at its step, with the data that would have come; from
            the checkpoint before it where it is damaged; from the beginning where that training never reached
            a checkpoint.
        sources: samples instead of those that `config.data` names.
        console: where progress is shown.
        check: look whether the data can be learned from, before anything else.

    Returns:
        The trained model (averaged weights, if averaging is on), in evaluation mode.

    Raises:
        InputError: the folder is in use, or cannot be written, or there is no such device.
        DataError: nothing can be learned from the data, or more than 1 % of its images cannot be read.
        CheckpointError: there is nothing to resume from, or it is damaged or of another model or classes.
        PansightError: a loss is not finite or explodes, or a data worker died; the last checkpoint is kept.
        In
            one of several processes: in all.
        TrainingInterruptedError: Ctrl-C, SIGTERM or SIGUSR1; a checkpoint is written.
    """
    # Of several processes each runs this; the first one owns the folder.
    place, told = detect(), config.model_dump(mode="json")
    written, config = config, placed(config, place)
    if place is not None:
        setattr(rank_zero_only, "rank", place.rank)  # noqa: B010  (a function that Lightning gave a field)
    first = getattr(rank_zero_only, "rank", 0) == 0
    _check_device(config)
    check_loggers(config.log)
    console = console or Console()
    if first:
        remark = claim(folder, resume)
        if remark:
            console.print(remark, markup=False, highlight=False, soft_wrap=True)
    start: Path | None = None
    if resume:
        start, damage = resume_point(folder) or (None, None)
        if damage and first:
            console.print(f"remark: {damage}", markup=False, highlight=False, soft_wrap=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    sources = sources or open_sources(config)
    if first and check:
        for remark in check_sources(sources):
            console.print(f"remark: {remark}", markup=False, highlight=False, soft_wrap=True)
    torch.manual_seed(int(generator_for((config.seed,)).integers(2**63)))

    def say(line: str) -> None:
        if first:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    model = build_model(config.model, sources.categories, None if start is not None else say)
    frozen = Frozen(model, config.freeze)
    if frozen.parameters:
        say(f"frozen: {frozen.parameters / 1e6:.2f} M parameters")
    if config.channels_last:
        cast(Any, model).to(memory_format=torch.channels_last)
    step = _step_to_resume(start, model) if start is not None else 0
    if first:
        if start is not None:
            set_aside(folder, start)
        with atomic_write(folder / CONFIG) as temporary:
            temporary.write_text(to_yaml(written), encoding="utf-8")
    journal = Journal(folder, step, first, make_loggers(config.log, folder, step, told) if first else ())
    average = WeightAverage(model, config.average)
    checkpoints = Checkpoints(folder, config.checkpoint_every, config.keep_checkpoints, config.steps)

    def export(name: str, **figures: float) -> None:
        if first:
            save_native(model, folder / name, extra={"training": told, **figures})

    norms = SharedNorms(model)
    callbacks: list[LightningCallback] = [norms, average]
    validation: Validation | None = None
    if sources.validation is not None and config.validation.every:
        validation = Validation(
            config, sources.validation, average, journal, lambda pq: export(BEST, pq=pq), checkpoints
        )
        callbacks.append(validation)
    report = Report(config, journal, checkpoints, console)
    callbacks += [report, checkpoints]
    profile = Profile() if config.profile else None
    if profile is not None:
        callbacks = [profile, *callbacks, profile.closing]
    if first:
        size = f"{parameter_count(model) / 1e6:.2f} M parameters, {len(model.categories)} categories"
        console.print(f"{model.method}, {size}, into {folder}", markup=False, highlight=False, soft_wrap=True)
    module = TrainingModule(model, config, len(sources.training), folder, frozen)
    module.clock = None if profile is None else profile.clock
    data = PanopticData(config, sources, model.preprocess.divisor)
    model.train()
    processes = Processes(folder)
    try:
        with only_our_words(console), checkpoints.catching_interrupts(), processes.ending_together():
            trainer = _trainer(config, folder, callbacks, place)
            trainer.fit(module, datamodule=data, ckpt_path=None if start is None else str(start))
    finally:
        norms.close()
        report.close()
        journal.close()
        if first:
            _sum_up(folder, f"{model.method}: {folder.name}", profile, say)
        missed = [*module.missed.values(), *(validation.missed if validation is not None else ())]
        if first and missed:
            console.print(_left_out(missed), markup=False, highlight=False, soft_wrap=True)
    model.eval()
    with average.applied():
        export(FINAL)
        if first:
            best = f", best: {folder / BEST}" if (folder / BEST).exists() else ""
            console.print(f"weights: {folder / FINAL}{best}", markup=False, highlight=False, soft_wrap=True)
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return model


def _check_device(config: TrainConfig) -> None:
    """Raise InputError where there is no such device, or there are fewer than wanted."""
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(choose_device(config.device).type)
    if there is not None and config.devices > there:
        raise InputError(
            f"{config.devices} devices are requested, but only {there} found; use --set devices={there}"
        )


def _step_to_resume(path: Path, model: PanopticModel) -> int:
    """The step of a checkpoint. Raises CheckpointError when it does not fit the model."""
    checkpoint = read_checkpoint(path, mapped=True)
    state = {key.removeprefix("model."): tensor for key, tensor in checkpoint["state_dict"].items()}
    mismatch = compare(model, state)
    if mismatch:
        raise CheckpointError(f"{path} is of another model ({mismatch}); resume with its own")
    _same_classes(path, checkpoint.get(CATEGORIES), model)
    return int(checkpoint["global_step"])


def _same_classes(path: Path, learned: list[list[Any]] | None, model: PanopticModel) -> None:
    """Raise CheckpointError where classes have other names, another order or another kind: shapes hide that.

    Checkpoints of before do not say what they learned, and are believed.
    """
    if learned is None:
        return
    now = [(one.name, one.is_thing) for one in model.categories]
    before = [(str(name), bool(thing)) for name, thing in learned]
    if now == before:
        return
    place = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), len(now))
    was, becomes = (_class_at(table, place) for table in (before, now))
    raise CheckpointError(
        f"{path} was trained on other classes: number {place} was {was}, and is {becomes} in the data "
        "now; resume "
        "with the same data and categories, or start over in another --output with --weights"
    )


def _class_at(table: list[tuple[str, bool]], place: int) -> str:
    if place >= len(table):
        return "none"
    name, thing = table[place]
    return f"{name!r} ({'thing' if thing else 'stuff'})"


def _sum_up(folder: Path, title: str, profile: Profile | None, say: Callable[[str], None]) -> None:
    """Curves, and where the time went; a disk that is full must not hide how the training ended."""
    with suppress(InputError):
        write_curves(folder, title)
    if profile is not None:
        say(profile.clock.line())
        with suppress(InputError):
            profile.clock.write(folder)


SHOWN = 5
"""images left out that are named; the rest are counted"""


def _left_out(reasons: list[str]) -> str:
    """One line that names the images that could not be read."""
    more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    images = "1 image" if len(reasons) == 1 else f"{len(reasons)} images"
    return f"left out: {images} that could not be read: {'; '.join(reasons[:SHOWN])}{more}"


def _trainer(
    config: TrainConfig, folder: Path, callbacks: list[LightningCallback], place: Place | None
) -> Trainer:
    """Lightning's loop with everything turned off that our callbacks do."""
    return Trainer(
        accelerator="gpu" if config.device == "cuda" else config.device,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=parallel_strategy(config),
        precision=config.precision,
        max_steps=config.steps,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        plugins=[WholeFiles(), *([] if place is None else [Cluster(place)])],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        # see SharedNorms for processes on CPUs
        sync_batchnorm=config.devices * config.nodes > 1
        and torch.cuda.is_available()
        and config.device != "cpu",
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )
