"""Two processes train as one does with twice the passes a step, and fail together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

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
import json, sys
from pathlib import Path
from rich.console import Console
from pansight.training.recipes import make_config
from pansight.training.run import train
for name, content in json.loads(sys.argv[1]).items():
    train(make_config(content), Path(sys.argv[2]) / name, console=Console(quiet=True))
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


def in_two_processes(script: str, arguments: list[str], timeout: float = 300) -> list[tuple[int, str]]:
    """Run a script as torchrun would, twice; exit codes and standard errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        environment = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "GROUP_RANK": "0",
            "TORCHELASTIC_RUN_ID": "test",
            "OMP_NUM_THREADS": "1",
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", script, *arguments],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        errors = [process.communicate(timeout=timeout)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def difference(first: PanopticModel, second: PanopticModel) -> float:
    """The largest difference of parameters, relative to the largest value of each."""
    others = dict(second.named_parameters())
    return max(
        float((value - others[name]).abs().max() / value.abs().max().clamp(min=1e-3))
        for name, value in first.named_parameters()
    )


def test_two_processes_equal_one_that_accumulates(tmp_path: Path) -> None:
    """Parameters differ by rounding alone: gradients are summed in another order (relative 1e-4).

    Running statistics of batch norms are each process's own, and of the first one in the end; on a CPU they
    cannot be shared, so frozen norms and group norms are what is compared.
    """
    parallel = {method: content(method, devices=2) for method in SMALL}
    for code, error in in_two_processes(SCRIPT, [json.dumps(parallel), str(tmp_path / "two")]):
        assert code == 0, error
    for method in SMALL:
        alone = train(
            make_config(content(method, accumulate=2)), tmp_path / "one" / method, console=Console(quiet=True)
        )
        together = load_model(tmp_path / "two" / method / "final.safetensors")
        assert difference(alone, together) < 1e-4, method
        start = train(
            make_config(content(method, accumulate=2, steps=1)),
            tmp_path / "start" / method,
            console=Console(quiet=True),
        )
        assert difference(alone, start) > 1e-3, f"{method} learned nothing that could differ"


FAILING = """
import sys
from pathlib import Path
from rich.console import Console
from pansight.errors import PansightError
from pansight.models.yoso import YOSO
import os, json
from pansight.training.recipes import make_config
from pansight.training.run import train
if os.environ["RANK"] == "1":
    losses, calls = YOSO.losses, []
    def faulty(self, outputs, targets):
        calls.append(1)
        terms = losses(self, outputs, targets)
        return {name: term * float("nan") if len(calls) == 2 else term for name, term in terms.items()}
    YOSO.losses = faulty
try:
    train(make_config(json.loads(sys.argv[1])), Path(sys.argv[2]), console=Console(quiet=True))
except PansightError as error:
    sys.exit(f"error: {error}")
"""


def test_a_failure_of_one_process_ends_all_with_its_message(tmp_path: Path) -> None:
    arguments = [json.dumps(content("yoso", devices=2)), str(tmp_path / "run")]
    ended = in_two_processes(FAILING, arguments)
    for rank, (code, error) in enumerate(ended):
        assert code == 1, f"process {rank}: {error}"
        last = [line for line in error.splitlines() if line.strip()][-1]
        assert last.startswith("error: step 2: loss "), error
        assert "is nan" in last
