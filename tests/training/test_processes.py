"""Two processes train as one does with twice the passes a step, and fail together."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pansight.models.base import PanopticModel
from pansight.training.recipes import make_config
from pansight.training.run import train
from pansight.zoo.registry import load_model

SMALL: dict[str, dict[str, Any]] = {
    "yoso": {
        "depth": 18, "width": 8, "backbone_norm": "frozen", "aggregated_dim": 16, "hidden_dim": 32,
        "proposals": 10, "feedforward_dim": 64, "heads": 4, "points": 64,
    },
    "dense_detection": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "box_channels": 16, "class_channels": 16,
        "level_bounds": [16, 32, 64, 128],
    },
    "panoptic_fcn": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8,
    },
    "epsnet": {"depth": 18, "width": 8},
}  # fmt: skip

LEARNING = {"learning_rate": 1e-3, "one_rate": True, "schedule": {"kind": "constant"}}

SCRIPT = """
import json, os, sys
from pathlib import Path
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from pansight.errors import PansightError
from pansight.models.yoso import YOSO
from pansight.training.recipes import make_config
from pansight.training.processes import SharedNorms
from pansight.training.run import train

SharedNorms.on_fit_start = lambda *_: None

def work(rank, trainings, folder):
    os.environ.update(json.loads(sys.argv[3]), RANK=str(rank), LOCAL_RANK=str(rank))
    rank_zero_only.rank = rank  # as importing Lightning under torchrun would
    for name, content in trainings.items():
        if name == "failing" and rank == 1:
            spoil()
        try:
            train(make_config(content), folder / name, console=Console(quiet=True))
        except PansightError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0

def spoil():
    losses, calls = YOSO.losses, []
    def faulty(self, outputs, targets):
        calls.append(1)
        terms = losses(self, outputs, targets)
        return {name: term * float("nan") if len(calls) == 2 else term for name, term in terms.items()}
    YOSO.losses = faulty

folder = Path(sys.argv[2])
ranks = []
for rank in range(2):  # what is imported once serves both
    ranks.append(os.fork())
    if ranks[-1] == 0:
        sys.stderr = open(folder / f"errors-{rank}", "w")
        code = 1
        try:
            code = work(rank, json.loads(sys.argv[1]), folder)
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks]))
"""


def content(method: str, **changes: Any) -> dict[str, Any]:
    """Four steps on scenes by plain gradient descent, in which a difference stays as large as it is."""
    return {
        "data": {"kind": "scenes", "size": [64, 64]},
        "model": {"method": method, "config": SMALL[method]},
        "optimizer": {"kind": "sgd", "momentum": 0.9, **LEARNING},
        "validation": {"every": 0},
        "steps": 4,
        "batch_size": 1,
        "workers": 0,
        "threads": 1,
        "device": "cpu",
        "seed": 3,
        "checkpoint_every": 100,
        **changes,
    }


@dataclass(frozen=True)
class Parallel:
    """What two processes left: the folder of their trainings, and how each of them ended."""

    folder: Path
    codes: list[int]
    errors: list[str]


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Parallel:
    """All methods, one after the other, then a training whose second process fails in its second step."""
    folder = tmp_path_factory.mktemp("two")
    trainings = {method: content(method, devices=2) for method in SMALL}
    trainings["failing"] = content("yoso", devices=2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # as torchrun sets them
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(trainings), str(folder), json.dumps(shared)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = [(folder / f"errors-{rank}").read_text() for rank in range(2)]
    return Parallel(folder, json.loads(done.stdout.splitlines()[-1]), errors)


def difference(first: PanopticModel, second: PanopticModel) -> float:
    """The largest difference of parameters, relative to the largest value of each (of biases: to 1e-3)."""
    others = dict(second.named_parameters())
    return max(
        float((value - others[name]).abs().max() / value.abs().max().clamp(min=1e-3))
        for name, value in ((name, value.detach()) for name, value in first.named_parameters())
    )


def test_two_processes_equal_one_that_accumulates(parallel: Parallel, tmp_path: Path) -> None:
    """Parameters differ by rounding alone: gradients are summed in another order (relative 1e-3, and
    a tenth of what three steps change:
    Adam's first steps turn noise in a gradient near zero into steps of the same size).

    Batch norms that learn (YOSO's neck has some) share their statistics, which one process that accumulates
    cannot have: here they do not. That sharing is right is held by test_shared_norm.
    """
    for method in SMALL:
        final = parallel.folder / method / "final.safetensors"
        assert final.is_file(), parallel.errors
        together = load_model(final)
        changes = {"accumulate": 2}
        alone, start = (
            train(
                make_config(content(method, steps=steps, **changes)),
                tmp_path / f"{method}-{steps}",
                console=Console(quiet=True),
            )
            for steps in (4, 1)
        )
        learned = difference(alone, start)
        assert learned > 1e-4, f"{method} learned nothing that could differ"
        assert difference(alone, together) < min(1e-3, 0.1 * learned), method


def test_a_failure_of_one_process_ends_all_with_its_message(parallel: Parallel) -> None:
    assert parallel.codes == [2, 2], parallel.errors
    for error in parallel.errors:
        last = [line for line in error.splitlines() if line.strip()][-1]
        assert last.startswith("error: step 2: loss ") and " is nan" in last, error
