"""Checkpoints to resume from: written atomically, by step and when the system asks to stop."""

import errno
import math
import os
import secrets
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pansight.errors import CheckpointError, InputError
from pansight.files import atomic_write
from pansight.training.steps import StepCallback
from pansight.zoo.reasons import first_line

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

SET_ASIDE = "damaged.ckpt"
"""what a last checkpoint that cannot be read is renamed to, when an older one takes its place"""

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""signals that ask a training to stop: Ctrl-C, and what schedulers send before they take a machine away"""


class TrainingInterruptedError(Exception):
    """A signal asked to stop, and a checkpoint of `step` is written to `path`; `first`: by this process."""

    def __init__(self, step: int, path: Path, first: bool = True, number: int = signal.SIGINT) -> None:
        super().__init__(step, path, first, number)
        self.step = step
        self.path = path
        self.first = first
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, as in shells; 143 for any scheduler's signal."""
        return 130 if self.number == signal.SIGINT else 143


class WholeFiles(TorchCheckpointIO):
    """Writes next to the old file and replaces it on success; reads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Raises InputError, naming the file, when it cannot be written; the old file is then unchanged."""
        with atomic_write(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # torch's own file writer reports a full disk so, without the system's words
                reason = str(error).splitlines()[0]
                raise OSError(errno.ENOSPC, f"torch could not write it completely ({reason})") from error
            if Path(path).name == LAST:
                _keep_previous(Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises CheckpointError for a file that is missing, damaged, or has more than tensors and values."""
        return read_checkpoint(Path(path))


def _keep_previous(last: Path) -> None:
    """Let the checkpoint that is about to be replaced go on under the name of PREVIOUS.

    By a second name for the same file, so that at no moment the last one is missing; where the file system
    has no such thing it is renamed, and for a moment there is the previous one alone.
    """
    if not last.exists():
        return
    previous = last.with_name(PREVIOUS)
    second = last.with_name(f".{secrets.token_hex(8)}{last.suffix}")
    try:
        os.link(last, second)
    except OSError:
        last.replace(previous)
    else:
        second.replace(previous)
        # where the previous one is the last one already, by a second name, a rename does nothing
        second.unlink(missing_ok=True)


def resume_point(folder: Path) -> tuple[Path, str | None] | None:
    """The newest checkpoint in the folder that can be read; None where there is none at all.

    With it comes a remark where that is not the last one: one that was damaged, by a disk or by a copy that
    broke off, is passed over. Raises CheckpointError where every one of them is damaged.
    """
    last = folder / LAST
    first: CheckpointError | None = None
    best: tuple[int, Path] | None = None
    for path in (last, folder / PREVIOUS, *sorted(folder.glob("step-*.ckpt"), reverse=True)):
        if not path.is_file() or (best is not None and best[0] >= _step_in_name(path)):
            continue
        try:
            _check_sums(path)
            step = _step_of(path)
        except CheckpointError as error:
            first = first or error
            continue
        if path == last:
            return path, None
        if best is None or step > best[0]:
            best = step, path
    if best is None:
        if first is not None:
            raise first
        return None
    step, path = best
    reason = "" if first is None else first.args[0].partition(";")[0]
    if not last.is_file():
        reason = f"{last} is missing{reason and ', '}{reason}"
    return path, f"{reason}; going on from {path.name}, step {step}"


def _step_of(path: Path) -> int:
    """The step that a checkpoint was written at. Raises CheckpointError where it cannot be read."""
    content = read_checkpoint(path, mapped=True)
    try:
        return int(content["global_step"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds no step; resume from another checkpoint") from error


def _step_in_name(path: Path) -> float:
    """The step that a numbered checkpoint's name tells, without reading it; infinite for the others."""
    number = path.stem.partition("-")[2]
    return float(number) if number.isdigit() else math.inf


def _check_sums(path: Path) -> None:
    """Raise CheckpointError where part of a file is not what was written, which torch does not look at."""
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except Exception as error:  # zipfile and zlib raise a dozen kinds where bits have flipped
        raise CheckpointError(
            f"{path} cannot be read ({first_line(error)}); resume from another checkpoint"
        ) from error
    if broken is not None:
        raise CheckpointError(f"{path} cannot be read ({broken} is damaged); resume from another checkpoint")


def set_aside(folder: Path, used: Path) -> None:
    """Before a training resumes from another checkpoint: keep the last from replacing a good one."""
    last = folder / LAST
    if used != last and last.exists():
        last.replace(folder / SET_ASIDE)


def read_checkpoint(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Contents of a training checkpoint, on the CPU; see `WholeFiles.load_checkpoint`.

    `mapped`: tensors are only read from the disk when they are used.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the folder of a training that wrote {LAST}")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read ({reason}); resume from another checkpoint") from error
    parts = {"state_dict", "global_step", "optimizer_states"}
    if not isinstance(checkpoint, dict) or not parts <= checkpoint.keys():
        raise CheckpointError(f"{path} is not a training checkpoint; give the {LAST} of a training")
    return checkpoint


class Checkpoints(StepCallback):
    """Saves `last.ckpt` at regular steps, after the last, and when a signal asks to stop.

    Inside `catching_interrupts`, Ctrl-C, SIGTERM and SIGUSR1 let the running step end, save and raise
    TrainingInterruptedError; a second Ctrl-C stops at once. When a checkpoint cannot be written, training
    continues with the old one kept, says so, and tries again when the next is due, unless it was the last
    one.

    Args:
        folder: where they are written.
        every: steps between them.
        keep: how many numbered copies `step-<n>.ckpt` are kept, too.
        last_step: after which training ends.
    """

    def __init__(self, folder: Path, every: int, keep: int, last_step: int) -> None:
        self.folder = folder
        self.every = every
        self.keep = keep
        self.last_step = last_step
        self.warning: str | None = None
        self.remark: str | None = None
        self._signal = 0
        self._catching = False

    @property
    def stopping(self) -> bool:
        """Whether a signal has asked this process to stop."""
        return bool(self._signal)

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Inside, signals are handled as described above (in the main thread, the only one that may)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in STOPPING}
        self._catching = True
        self._catch()
        try:
            yield
        finally:
            self._catching = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back from Lightning, whose own handlers would end the training without us."""
        super().on_train_start(trainer, pl_module)
        if self._catching:
            self._catch()

    def _catch(self) -> None:
        for number in STOPPING:
            signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal:
            return  # schedulers say it more than once
        self._signal = number
        again = "; Ctrl-C again stops at once" if number == signal.SIGINT else ""
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        # print is not for handlers: the signal may have come in the midst of another print
        stderr = sys.__stderr__
        if stderr is None:
            return
        with suppress(OSError, ValueError):
            os.write(stderr.fileno(), f"{name}: stopping after this step{again}\n".encode())

    def on_step(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Save where it is due."""
        # A signal reaches the processes of one training between different steps: all stop when one does.
        stop = trainer.strategy.reduce_boolean_decision(self.stopping, all=False)
        last = step == self.last_step or trainer.should_stop
        if step % self.every and not last and not stop:
            return
        if stop:
            trainer.save_checkpoint(self.folder / LAST)
            raise TrainingInterruptedError(
                step, self.folder / LAST, trainer.is_global_zero, _of_all(trainer, self._signal)
            )
        try:
            trainer.save_checkpoint(self.folder / LAST)
            if self.keep:
                trainer.save_checkpoint(self.folder / f"step-{step:08d}.ckpt")
                self._forget()
        except InputError as error:
            if last:
                raise
            self.warning = f"step {step}: {error}; training continues, and the previous checkpoint is kept"

    def _forget(self) -> None:
        for path in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
            path.unlink(missing_ok=True)


def _of_all(trainer: Trainer, number: int) -> int:
    """The signal that some process got, a scheduler's before Ctrl-C."""
    if trainer.world_size == 1:
        return number
    numbers: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(numbers, number)
    given = [one for one in numbers if one]
    return next((one for one in given if one != signal.SIGINT), signal.SIGINT)
