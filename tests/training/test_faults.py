"""Real processes that are killed, starved and misled: nothing is lost, and what happened is said."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pansight.errors import CheckpointError
from pansight.training.checkpoints import read_checkpoint
from pansight.training.replay import read_replay
from pansight.zoo.header import read_metadata
from pansight.zoo.native import read_tensors
from pansight.zoo.registry import load_model

# One interpreter imports everything, once; each command then runs in a fork of it, through the real entry
# point, and does to itself what `moment` says when the n-th call of the place comes.
SERVER = """
import faulthandler, json, os, resource, signal, sys, tempfile
import torch
from pansight.cli import main
from pansight.models.yoso import YOSO
from pansight.training import checkpoints, run, validation
import pansight.training.replay, multiprocessing

torch.set_num_threads(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at(owner, name, calls, act, before=True):
    original, seen = getattr(owner, name), []
    def instead(*arguments, **keywords):
        seen.append(1)
        if before and len(seen) in calls:
            act(len(seen), *arguments)
        result = original(*arguments, **keywords)
        if not before and len(seen) in calls:
            act(len(seen), *arguments)
        return result
    setattr(owner, name, instead)

def half_written(call, content, path):
    path.write_bytes(b"PK" + bytes(100)); die()

LIMITS = resource.getrlimit(resource.RLIMIT_FSIZE)
def full(call, *_):
    # the system refuses to let files grow, as a full disk does, from this call to the next
    small = call == 3
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if small else LIMITS[0], LIMITS[1]))

def kill_worker(call, *_):
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)

MOMENTS = {
    "step": lambda: at(YOSO, "losses", {3}, lambda *_: die()),
    "validation": lambda: at(validation, "measure", {1}, lambda *_: die(), before=False),
    "writing": lambda: at(torch, "save", {1}, half_written),
    "between": lambda: at(checkpoints, "_keep_previous", {1}, lambda *_: die(), before=False),
    "export": lambda: at(run, "save_native", {2}, lambda *_: die()),
    "SIGTERM": lambda: at(YOSO, "losses", {3}, lambda *_: os.killpg(0, signal.SIGTERM)),
    "SIGINT": lambda: at(YOSO, "losses", {3}, lambda *_: os.kill(os.getpid(), signal.SIGINT)),
    "SIGUSR1": lambda: at(YOSO, "losses", {3}, lambda *_: os.killpg(0, signal.SIGUSR1)),
    "SIGTERM in validation": lambda: at(
        validation, "measure", {1}, lambda *_: os.kill(os.getpid(), signal.SIGTERM)),
    "full disk": lambda: at(YOSO, "losses", {3, 6}, full),
    "dead worker": lambda: at(YOSO, "losses", {2}, kill_worker),
}

for line in sys.stdin:
    order = json.loads(line)
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.setsid()
                os.dup2(output.fileno(), 1); os.dup2(output.fileno(), 2)
                faulthandler.dump_traceback_later(100, exit=True)  # one that hangs says where
                os.environ.update(order["environment"])
                if order["moment"]:
                    MOMENTS[order["moment"]]()
                sys.argv = ["pansight", "train", *order["arguments"]]
                main.run()
                code = 0
            except SystemExit as leaving:
                code = leaving.code or 0
            except BaseException:
                import traceback
                traceback.print_exc()
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        print(json.dumps([code, output.read()]), flush=True)
"""

RECIPE = {
    "data": {"kind": "scenes", "size": [32, 64]},
    "model": {
        "config": {
            "depth": 18, "width": 8, "backbone_norm": "batch", "aggregated_dim": 16, "hidden_dim": 32,
            "proposals": 10, "feedforward_dim": 64, "heads": 4, "points": 64,
        }
    },
    "optimizer": {"one_rate": True, "learning_rate": 1e-3, "schedule": {"kind": "constant"}},
    "validation": {"every": 4, "pictures": 2},
    "average": 0.9,
    "steps": 6,
    "batch_size": 2,
    "workers": 0,
    "threads": 1,
    "device": "cpu",
    "log_every": 1,
    "checkpoint_every": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it said."""

    code: int
    output: str


Train = Callable[..., Ended]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """`pansight train RECIPE --output FOLDER ...` in a process of its own."""
    recipe = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        stdin, stdout = server.stdin, server.stdout

        def run(folder: Path, *arguments: str, moment: str = "", **environment: str) -> Ended:
            command = [str(recipe), "--output", str(folder), *arguments]
            order: dict[str, Any] = {"arguments": command, "moment": moment, "environment": environment}
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            return Ended(*json.loads(stdout.readline()))

        yield run
        stdin.close()


@pytest.fixture(scope="module")
def unbroken(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    ended = train(folder)
    assert ended.code == 0, ended.output
    return folder


def assert_same(folder: Path, unbroken: Path) -> None:
    """Weights, averages, moments and figures are those of the unbroken training, to the bit."""
    for name in ("final.safetensors", "best.safetensors"):
        headers = [read_metadata(place / name) for place in (folder, unbroken)]
        assert headers[0] == headers[1], name
        tensors = [read_tensors(place / name) for place in (folder, unbroken)]
        differ = [key for key in tensors[1] if not torch.equal(tensors[0][key], tensors[1][key])]
        assert not differ, (name, differ)
    states = [read_checkpoint(place / "last.ckpt") for place in (folder, unbroken)]
    _assert_equal(*(state["callbacks"] for state in states))
    _assert_equal(*(state["optimizer_states"] for state in states))
    for name in ("training.csv", "validation.csv"):
        rows = [
            [row.split(",")[:1] + row.split(",")[2:] for row in (place / name).read_text().splitlines()]
            for place in (folder, unbroken)
        ]
        assert rows[0] == rows[1], name


def _assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            _assert_equal(a, b)
    else:
        assert one == other


def test_killed_five_times_it_ends_as_the_unbroken_one(train: Train, unbroken: Path, tmp_path: Path) -> None:
    """SIGKILL in a step, while a checkpoint is written, in validation, between two files, and in export."""
    folder = tmp_path / "run"
    for moment in ("step", "writing", "validation", "between", "export"):
        ended = train(folder, "--resume", moment=moment)
        assert ended.code == -9, (moment, ended.output)
    assert not (folder / "final.safetensors").exists()
    ended = train(folder, "--resume")
    assert ended.code == 0, ended.output
    assert_same(folder, unbroken)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("moment", ["SIGTERM", "SIGUSR1", "SIGTERM in validation"])
def test_a_scheduler_s_signal_saves_and_leaves_143(
    train: Train, unbroken: Path, tmp_path: Path, moment: str
) -> None:
    """The signal goes to all processes of the job; the same command goes on, once requeued."""
    folder = tmp_path / "run"
    workers = "1" if moment == "SIGTERM" else "0"
    ended = train(folder, "--workers", workers, moment=moment)
    assert ended.code == 143, ended.output
    assert f"{moment.split()[0]}: stopping after this step" in ended.output
    step = 4 if "validation" in moment else 3
    assert f"stopped at step {step}; go on with: pansight train --resume" in ended.output
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == step
    ended = train(folder, "--set", "workers=0", SLURM_RESTART_COUNT="1")
    assert ended.code == 0, ended.output
    if workers == "0":
        assert_same(folder, unbroken)
    else:
        one, other = (load_model(place / "final.safetensors").state_dict() for place in (folder, unbroken))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_ctrl_c_saves_and_the_training_goes_on(train: Train, unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = train(folder, moment="SIGINT")
    assert ended.code == 130, ended.output
    assert "Ctrl-C: stopping after this step; Ctrl-C again stops at once" in ended.output
    assert "stopped at step 3; go on with: pansight train --resume" in ended.output
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 3
    assert train(folder, "--resume").code == 0
    assert_same(folder, unbroken)


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(
    train: Train, unbroken: Path, tmp_path: Path
) -> None:
    """See test_checkpoints for every kind of damage."""
    folder = tmp_path / "run"
    assert train(folder, "--steps", "4").code == 0
    last = folder / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    ended = train(folder, "--resume", "--steps", "6")
    assert ended.code == 0, ended.output
    assert "going on from previous.ckpt, step 2" in ended.output
    assert_same(folder, unbroken)
    assert (folder / "damaged.ckpt").read_bytes() == content


def test_a_full_disk_is_said_and_training_goes_on(train: Train, unbroken: Path, tmp_path: Path) -> None:
    """No file can grow between the third and the sixth step: the checkpoint of the fourth is lost."""
    folder = tmp_path / "run"
    ended = train(folder, moment="full disk")
    assert ended.code == 0, ended.output
    assert "warning: step 4: cannot write" in ended.output
    assert "training continues, and the previous checkpoint is kept" in ended.output
    final = [read_tensors(place / "final.safetensors") for place in (folder, unbroken)]
    assert all(torch.equal(final[0][key], final[1][key]) for key in final[1])
    assert read_checkpoint(folder / "previous.ckpt")["global_step"] == 2


def test_a_loss_that_goes_wrong_can_be_looked_at(train: Train, tmp_path: Path) -> None:
    """A rate beyond all reason: the weights are lost in the first steps, by themselves."""
    folder = tmp_path / "run"
    ended = train(
        folder, "--lr", "1e30", "--set", "optimizer.gradient_clip=0",
        "--set", "optimizer.schedule.kind=constant", "--set", "validation.every=0",
    )  # fmt: skip
    assert ended.code == 2
    (path,) = folder.glob("replay-step-*.pt")
    assert f"pansight train --replay {path}" in ended.output
    kept = read_replay(path)
    with pytest.raises(CheckpointError, match="is a folder; give the replay-step"):
        read_replay(folder)
    (folder.parent / "junk.pt").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="is no replay file, or damaged") as refused:
        read_replay(folder.parent / "junk.pt")
    assert "weights_only" not in str(refused.value)
    assert len(kept["passes"]) == 1
    names = kept["passes"][0]["batch"]["names"]
    shown = train(folder, "--replay", str(path))
    assert shown.code == 0, shown.output
    assert ended.output.split("error: ")[1].split("; ")[0] in shown.output
    assert f"images: {', '.join(names)}" in shown.output
    assert "not finite" in shown.output
    # the training that it ended may be started over, or resumed
    assert train(folder, "--steps", "1").code == 0


def test_a_dead_worker_is_named(train: Train, tmp_path: Path) -> None:
    ended = train(tmp_path / "run", "--workers", "1", "--steps", "200", moment="dead worker")
    assert ended.code == 2, ended.output
    assert "data worker 0 of 1 (process " in ended.output
    assert "was killed by SIGKILL; if memory ran out" in ended.output
    assert "Traceback" not in ended.output
