"""A training from a configuration to exported weights."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from pansight.data.transforms import generator_for
from pansight.errors import CheckpointError, InputError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.runtime.devices import choose_device
from pansight.training.averaging import WeightAverage
from pansight.training.building import build_model
from pansight.training.checkpoints import LAST, Checkpoints, WholeFiles, read_checkpoint
from pansight.training.config import TrainConfig
from pansight.training.data_module import PanopticData
from pansight.training.folder import claim
from pansight.training.journal import Journal
from pansight.training.module import CATEGORIES, TrainingModule
from pansight.training.precheck import check_sources
from pansight.training.processes import Processes, parallel_strategy
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
        folder: of this training; must be new or empty, or of a training that never got to a checkpoint,
            unless it is resumed.
        resume: go on from `last.ckpt` in the folder, at its step, with the data that would have come; from
            the beginning where that training never got to a checkpoint.
        sources: samples instead of those that `config.data` names.
        console: where progress is shown.
        check: look whether the data can be learned from, before anything else.

    Returns:
        The trained model (averaged weights, if averaging is on), in evaluation mode.

    Raises:
        InputError: the folder is in use, or cannot be written, or there is no such device.
        DataError: nothing can be learned from the data, or more than 1 % of its images cannot be read.
        CheckpointError: there is nothing to resume from, or it is damaged or of another model or classes.
        PansightError: a loss is not finite; the last checkpoint is kept. In one of several processes: in all.
        TrainingInterruptedError: Ctrl-C; a checkpoint is written.
    """
    # Of several processes each runs this; the first one owns the folder.
    first = getattr(rank_zero_only, "rank", 0) == 0
    last = folder / LAST
    _check_device(config)
    console = console or Console()
    if first:
        remark = claim(folder, resume)
        if remark:
            console.print(remark, markup=False, highlight=False, soft_wrap=True)
    resume = resume and last.exists()
    if config.threads:
        torch.set_num_threads(config.threads)
    sources = sources or open_sources(config)
    if first and check:
        for remark in check_sources(sources):
            console.print(f"remark: {remark}", markup=False, highlight=False, soft_wrap=True)
    torch.manual_seed(int(generator_for((config.seed,)).integers(2**63)))
    model = build_model(config.model, sources.categories)
    if config.channels_last:
        cast(Any, model).to(memory_format=torch.channels_last)
    step = _step_to_resume(last, model) if resume else 0
    if first:
        with atomic_write(folder / CONFIG) as temporary:
            temporary.write_text(to_yaml(config), encoding="utf-8")
    journal = Journal(folder, step, active=first)
    average = WeightAverage(model, config.average)
    checkpoints = Checkpoints(folder, config.checkpoint_every, config.keep_checkpoints, config.steps)

    def export(name: str, **figures: float) -> None:
        if first:
            save_native(model, folder / name, extra={"training": config.model_dump(mode="json"), **figures})

    callbacks: list[Callback] = [average]
    validation: Validation | None = None
    if sources.validation is not None and config.validation.every:
        validation = Validation(config, sources.validation, average, journal, lambda pq: export(BEST, pq=pq))
        callbacks.append(validation)
    report = Report(config, journal, checkpoints, console)
    callbacks += [report, checkpoints]
    if first:
        size = f"{parameter_count(model) / 1e6:.2f} M parameters, {len(model.categories)} categories"
        console.print(f"{model.method}, {size}, into {folder}", markup=False, highlight=False, soft_wrap=True)
    module = TrainingModule(model, config, len(sources.training))
    data = PanopticData(config, sources, model.preprocess.divisor)
    model.train()
    processes = Processes(folder)
    try:
        with only_our_words(console), checkpoints.catching_interrupts(), processes.ending_together():
            trainer = _trainer(config, folder, callbacks)
            trainer.fit(module, datamodule=data, ckpt_path=str(last) if resume else None)
    finally:
        report.close()
        journal.close()
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
        raise InputError(f"{config.devices} devices are wanted and {there} there; use --set devices={there}")


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
        f"{path} learned other classes: number {place} was {was}, and is {becomes} in the data now; resume "
        "with the same data and categories, or start anew in another --output with --weights"
    )


def _class_at(table: list[tuple[str, bool]], place: int) -> str:
    if place >= len(table):
        return "none"
    name, thing = table[place]
    return f"{name!r} ({'thing' if thing else 'stuff'})"


SHOWN = 5
"""images left out that are named; the rest are counted"""


def _left_out(reasons: list[str]) -> str:
    """One line that names the images that could not be read."""
    more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    images = "1 image" if len(reasons) == 1 else f"{len(reasons)} images"
    return f"left out: {images} that could not be read: {'; '.join(reasons[:SHOWN])}{more}"


def _trainer(config: TrainConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning's loop with everything turned off that our callbacks do."""
    return Trainer(
        accelerator="gpu" if config.device == "cuda" else config.device,
        devices=config.devices,
        strategy=parallel_strategy(config),
        precision=config.precision,
        max_steps=config.steps,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        # batch norm over all processes exists for graphics cards only
        sync_batchnorm=config.devices > 1 and torch.cuda.is_available() and config.device != "cpu",
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )
