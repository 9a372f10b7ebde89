"""A training from a configuration to exported weights."""

import logging
import os
import warnings
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.console import Console

from pansight.data.transforms import generator_for
from pansight.errors import InputError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.training.averaging import WeightAverage
from pansight.training.building import build_model
from pansight.training.checkpoints import LAST, Checkpoints, WholeFiles, resume_step
from pansight.training.config import TrainConfig
from pansight.training.data_module import PanopticData
from pansight.training.journal import Journal
from pansight.training.module import TrainingModule
from pansight.training.progress import Report
from pansight.training.recipes import to_yaml
from pansight.training.sources import Sources, open_sources
from pansight.training.validation import Validation

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
        resume: go on from `last.ckpt` in the folder, at its step, with the same data to come.
        sources: samples instead of those that `config.data` names.
        console: where progress is shown.

    Returns:
        The trained model (averaged weights, if averaging is on), in evaluation mode.

    Raises:
        InputError: the folder is in use, or cannot be written.
        CheckpointError: there is nothing to resume from, or it is damaged.
        PansightError: a loss is not finite; the last checkpoint is kept.
        InterruptedTraining: Ctrl-C; a checkpoint is written.
    """
    _quiet()
    console = console or Console()
    last = folder / LAST
    step = resume_step(last) if resume else 0
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; choose another --output, or go on there with --resume")
    if config.threads:
        torch.set_num_threads(config.threads)
    sources = sources or open_sources(config)
    torch.manual_seed(int(generator_for((config.seed,)).integers(2**63)))
    model = build_model(config.model, sources.categories)
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")
    journal = Journal(folder, step)
    average = WeightAverage(model, config.average)
    checkpoints = Checkpoints(folder, config.checkpoint_every, config.keep_checkpoints, config.steps)
    callbacks = [average]
    if sources.validation is not None and config.validation.every:
        callbacks.append(
            Validation(config, sources.validation, average, journal, lambda: export(model, folder / BEST))
        )
    callbacks += [Report(config, journal, checkpoints, console), checkpoints]
    trainer = Trainer(
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
        sync_batchnorm=config.devices > 1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        barebones=False,
    )
    module = TrainingModule(model, config)
    data = PanopticData(config, sources, model.preprocess.divisor)
    model.train()
    try:
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if resume else None)
    finally:
        journal.close()
    model.eval()
    with average.applied():
        if trainer.is_global_zero:
            export(model, folder / FINAL)
    return model


def export(model: PanopticModel, path: Path) -> None:
    """Write the weights in the native form."""
    from pansight.zoo.native import save_native

    save_native(model, path)


def _quiet() -> None:
    """Lightning's advertisements and hints say nothing that our own report does not."""
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
