"""A training from a configuration to exported weights."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
from pansight.training.averaging import WeightAverage
from pansight.training.building import build_model
from pansight.training.checkpoints import LAST, Checkpoints, WholeFiles, read_checkpoint
from pansight.training.config import TrainConfig
from pansight.training.data_module import PanopticData
from pansight.training.journal import Journal
from pansight.training.module import TrainingModule
from pansight.training.progress import Report
from pansight.training.recipes import to_yaml
from pansight.training.sources import Sources, open_sources
from pansight.training.validation import Validation
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
) -> PanopticModel:
    """Train, and leave in `folder`: config.yaml, logs, `last.ckpt`, `best.safetensors`, `final.safetensors`.

    Args:
        config: all settings.
        folder: of this training; must be new or empty, unless it is resumed.
        resume: go on from `last.ckpt` in the folder, at its step, with the data that would have come.
        sources: samples instead of those that `config.data` names.
        console: where progress is shown.

    Returns:
        The trained model (averaged weights, if averaging is on), in evaluation mode.

    Raises:
        InputError: the folder is in use, or cannot be written.
        CheckpointError: there is nothing to resume from, or it is damaged or of another model.
        PansightError: a loss is not finite; the last checkpoint is kept.
        TrainingInterruptedError: Ctrl-C; a checkpoint is written.
    """
    # Of several processes each runs this; the first one owns the folder.
    first = getattr(rank_zero_only, "rank", 0) == 0
    last = folder / LAST
    if first and not resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; choose another --output, or go on there with --resume")
    if config.threads:
        torch.set_num_threads(config.threads)
    sources = sources or open_sources(config)
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
    if sources.validation is not None and config.validation.every:
        callbacks.append(
            Validation(config, sources.validation, average, journal, lambda pq: export(BEST, pq=pq))
        )
    console = console or Console()
    report = Report(config, journal, checkpoints, console)
    callbacks += [report, checkpoints]
    if first:
        size = f"{parameter_count(model) / 1e6:.2f} M parameters, {len(model.categories)} categories"
        console.print(f"{model.method}, {size}, into {folder}", markup=False, highlight=False, soft_wrap=True)
    module = TrainingModule(model, config)
    data = PanopticData(config, sources, model.preprocess.divisor)
    model.train()
    try:
        with _only_our_words(), checkpoints.catching_interrupts():
            trainer = _trainer(config, folder, callbacks)
            trainer.fit(module, datamodule=data, ckpt_path=str(last) if resume else None)
    finally:
        report.close()
        journal.close()
    model.eval()
    with average.applied():
        export(FINAL)
        if first:
            best = f", best: {folder / BEST}" if (folder / BEST).exists() else ""
            console.print(f"weights: {folder / FINAL}{best}", markup=False, highlight=False, soft_wrap=True)
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return model


def _step_to_resume(path: Path, model: PanopticModel) -> int:
    """The step of a checkpoint. Raises CheckpointError when it does not fit the model."""
    checkpoint = read_checkpoint(path, mapped=True)
    state = {key.removeprefix("model."): tensor for key, tensor in checkpoint["state_dict"].items()}
    mismatch = compare(model, state)
    if mismatch:
        raise CheckpointError(f"{path} is of another model ({mismatch}); resume with its own")
    return int(checkpoint["global_step"])


def _trainer(config: TrainConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning's loop with everything turned off that our callbacks do."""
    return Trainer(
        accelerator="gpu" if config.device == "cuda" else config.device,
        devices=config.devices,
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


@contextmanager
def _only_our_words() -> Iterator[None]:
    """Keep Lightning's hints and advertisements from the terminal; its errors are raised as ever."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
