"""Checkpoint files are whole or as they were."""

import resource
from pathlib import Path

import pytest
import torch

from pansight.errors import CheckpointError, InputError
from pansight.training.checkpoints import WholeFiles, read_checkpoint

CONTENT = {"state_dict": {"a": torch.arange(4.0)}, "global_step": 3, "optimizer_states": []}


def test_files_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint(CONTENT, path)
    for content in (WholeFiles().load_checkpoint(path), read_checkpoint(path, mapped=True)):
        assert content["global_step"] == 3
        assert torch.equal(content["state_dict"]["a"], torch.arange(4.0))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint(CONTENT, path)
    before = path.read_bytes()
    large = {**CONTENT, "state_dict": {"a": torch.zeros(1_000_000)}}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the system refuses to let files grow, as a full disk does
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*last\.ckpt.*free space"):
            WholeFiles().save_checkpoint(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_unusable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"last\.ckpt does not exist"):
        read_checkpoint(path)
    WholeFiles().save_checkpoint(CONTENT, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be read"):
        read_checkpoint(path)
    torch.save({"weights": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is no training checkpoint"):
        read_checkpoint(path)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "touched"),)

    path = tmp_path / "last.ckpt"
    torch.save({**CONTENT, "callbacks": Harmful()}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)
    assert not (tmp_path / "touched").exists()
