"""Checkpoint files are whole or as they were."""

import resource
from pathlib import Path

import pytest
import torch

from pansight.errors import CheckpointError, InputError
from pansight.training.checkpoints import WholeFiles, read_checkpoint, resume_point, set_aside

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
    with pytest.raises(CheckpointError, match="is not a training checkpoint"):
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


def checkpoints(folder: Path) -> Path:
    """Three, one after the other; of each the last and the one before it are kept."""
    for step in (1, 2, 3):
        WholeFiles().save_checkpoint({**CONTENT, "global_step": step}, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    last = checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert read_checkpoint(last)["global_step"] == 3
    assert read_checkpoint(tmp_path / "previous.ckpt")["global_step"] == 2
    assert resume_point(tmp_path) == (last, None)


def test_a_file_system_without_links_keeps_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    checkpoints(tmp_path)
    assert read_checkpoint(tmp_path / "previous.ckpt")["global_step"] == 2


@pytest.mark.parametrize("damage", ["cut off", "a flipped bit", "empty", "gone", "something else"])
def test_what_is_damaged_is_passed_over(tmp_path: Path, damage: str) -> None:
    last = checkpoints(tmp_path)
    content = bytearray(last.read_bytes())
    content[content.index(torch.arange(4.0).numpy().tobytes()) + 5] ^= 1
    left: dict[str, bytes] = {
        "cut off": bytes(content[:-500]),
        "a flipped bit": bytes(content),
        "something else": b"hello",
    }
    last.write_bytes(left.get(damage, b""))
    if damage == "gone":
        last.unlink()
    found = resume_point(tmp_path)
    assert found is not None and found[0] == tmp_path / "previous.ckpt"
    assert found[1] is not None and found[1].endswith("going on from previous.ckpt, step 2")
    assert ("is missing" if damage == "gone" else "last.ckpt") in found[1]
    set_aside(tmp_path, found[0])
    assert not last.exists() and (tmp_path / "damaged.ckpt").exists() == (damage != "gone")
    # the next one takes the place of the last, and what was used stays the one before
    WholeFiles().save_checkpoint({**CONTENT, "global_step": 4}, last)
    assert read_checkpoint(tmp_path / "previous.ckpt")["global_step"] == 2


def test_numbered_ones_are_looked_at_last(tmp_path: Path) -> None:
    checkpoints(tmp_path)
    WholeFiles().save_checkpoint({**CONTENT, "global_step": 1}, tmp_path / "step-00000001.ckpt")
    for name in ("last.ckpt", "previous.ckpt"):
        (tmp_path / name).write_bytes(b"PK")
    found = resume_point(tmp_path)
    assert found is not None and found[0].name == "step-00000001.ckpt"
    (tmp_path / "step-00000001.ckpt").unlink()
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be read"):
        resume_point(tmp_path)
    assert resume_point(tmp_path / "nowhere") is None


def test_of_what_can_be_read_the_newest_is_taken(tmp_path: Path) -> None:
    checkpoints(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    for step in (1, 3):
        WholeFiles().save_checkpoint({**CONTENT, "global_step": step}, tmp_path / f"step-{step:08d}.ckpt")
    found = resume_point(tmp_path)
    assert found is not None and found[0].name == "step-00000003.ckpt"
    (tmp_path / "step-00000003.ckpt").write_bytes(b"PK")
    found = resume_point(tmp_path)
    assert found is not None and found[0].name == "previous.ckpt"


def test_no_flipped_bit_keeps_an_older_one_from_being_found(tmp_path: Path) -> None:
    last = checkpoints(tmp_path)
    content = last.read_bytes()
    # the directory of the archive, whose damage zipfile reports in a dozen ways
    start = content.index(b"PK\x01\x02")
    for bit in range(0, 8 * (len(content) - start), 37):
        place, mask = start + bit // 8, 1 << bit % 8
        last.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        found = resume_point(tmp_path)
        assert found is not None and found[0].name in ("last.ckpt", "previous.ckpt")
