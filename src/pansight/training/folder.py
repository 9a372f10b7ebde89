"""The state of a training's folder: new, of a training to resume, or of one that ended before a
checkpoint."""

import re
from pathlib import Path

from pansight.errors import CheckpointError, InputError
from pansight.training.checkpoints import LAST, PREVIOUS

REMAINS = {
    "config.yaml", "training.csv", "validation.csv", "events", "samples", "logs", "curves.html",
    "profile.json", ".failed.txt",
}  # fmt: skip
"""what a training leaves that ended before its first checkpoint"""

REPLAY = "replay-step-{step:08d}.pt"
"""what a step whose loss or gradients went wrong is kept in"""

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.[a-z]+")
"""what a process that was killed in the midst of writing a file leaves, see `atomic_write`"""

WEIGHTS = {"best.safetensors", "final.safetensors"}


def claim(folder: Path, resume: bool) -> str | None:
    """Check that a training may use the folder; a line where it starts over in one that was used.

    Raises InputError for a folder with other things in it, CheckpointError where there is nothing to resume.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "config.yaml" in names or all(_UNFINISHED.fullmatch(name) for name in names):
        for name in [name for name in names if _UNFINISHED.fullmatch(name)]:
            (folder / name).unlink(missing_ok=True)
            names.discard(name)
    names = {name for name in names if not re.fullmatch(r"replay-step-\d+(-process-\d+)?\.pt", name)}
    if resume and (names & {LAST, PREVIOUS} or any(re.fullmatch(r"step-\d+\.ckpt", name) for name in names)):
        return None
    begun = "config.yaml" in names
    if resume:
        if begun and names <= REMAINS | WEIGHTS:
            return f"{folder}: that training ended before its first checkpoint; it starts again at step 0"
        raise CheckpointError(
            f"{folder / LAST} does not exist; give the folder of a training that wrote {LAST}"
        )
    if begun and names <= REMAINS:
        return f"{folder}: the training there ended before its first checkpoint; this one takes its place"
    if names:
        raise InputError(f"{folder} is not empty; choose another --output, or go on there with --resume")
    return None
