"""Checkpoints to resume from: written whole or not at all, by step and on Ctrl-C."""

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pansight.errors import CheckpointError, InputError
from pansight.files import atomic_write
from pansight.training.steps import StepCallback

LAST = "last.ckpt"


class TrainingInterruptedError(Exception):
    """Ctrl-C was pressed, and a checkpoint of `step` is written to `path`; `first`: by this process."""

    def __init__(self, step: int, path: Path, first: bool = True) -> None:
        super().__init__(step, path, first)
        self.step = step
        self.path = path
        self.first = first


class WholeFiles(TorchCheckpointIO):
    """Writes beside the old file and replaces it on success; reads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Raises InputError, naming the file, when it cannot be written; the old file is then as it was."""
        with atomic_write(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # torch's own file writer reports a full disk so, without the system's words
                reason = str(error).splitlines()[0]
                raise OSError(errno.ENOSPC, f"torch could not write all of it ({reason})") from error

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises CheckpointError for a file that is missing, damaged, or has more than tensors and values."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Contents of a training checkpoint, on the CPU; see `WholeFiles.load_checkpoint`.

    `mapped`: tensors are only read from the disk when they are used.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the folder of a training that wrote {LAST}")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read ({reason}); resume from another checkpoint") from error
    parts = {"state_dict", "global_step", "optimizer_states"}
    if not isinstance(checkpoint, dict) or not parts <= checkpoint.keys():
        raise CheckpointError(f"{path} is no training checkpoint; give the {LAST} of a training")
    return checkpoint


class Checkpoints(StepCallback):
    """Saves `last.ckpt` every so many steps, after the last, and when Ctrl-C asks to stop.

    Inside `catching_interrupts`, a first Ctrl-C lets the running step end, saves and raises
    TrainingInterruptedError; a second one stops at once. When a checkpoint cannot be written, training goes
    on with the old one kept, and says so; unless it was the last one.

    Args:
        folder: where they are written.
        every: steps between them.
        keep: how many numbered copies `step-<n>.ckpt` stay too.
        last_step: after which training ends.
    """

    def __init__(self, folder: Path, every: int, keep: int, last_step: int) -> None:
        self.folder = folder
        self.every = every
        self.keep = keep
        self.last_step = last_step
        self.warning: str | None = None
        self._stop = False

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Inside, Ctrl-C is taken as said above (only in the main thread, which alone may do so)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        print("stopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Save where it is due."""
        # Ctrl-C reaches the processes of one training between different steps: all stop when one does.
        stop = trainer.strategy.reduce_boolean_decision(self._stop, all=False)
        if step % self.every and step != self.last_step and not stop:
            return
        if stop:
            trainer.save_checkpoint(self.folder / LAST)
            raise TrainingInterruptedError(step, self.folder / LAST, trainer.is_global_zero)
        try:
            trainer.save_checkpoint(self.folder / LAST)
            if self.keep:
                trainer.save_checkpoint(self.folder / f"step-{step:08d}.ckpt")
                self._forget()
        except InputError as error:
            if step == self.last_step:
                raise
            self.warning = f"step {step}: {error}; training goes on"

    def _forget(self) -> None:
        for path in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
            path.unlink(missing_ok=True)
