"""Whose a training's folder is: new, of a training to go on with, or of one that never got anywhere."""

from pathlib import Path

from pansight.errors import CheckpointError, InputError
from pansight.training.checkpoints import LAST

REMAINS = {"config.yaml", "training.csv", "validation.csv", "events", ".failed.txt"}
"""what a training leaves that ended before its first checkpoint"""

WEIGHTS = {"best.safetensors", "final.safetensors"}


def claim(folder: Path, resume: bool) -> str | None:
    """Check that a training may use the folder; a line where it starts anew in one that was used.

    Raises InputError for a folder with other things in it, CheckpointError where there is nothing to resume.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if LAST in names and resume:
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
