"""The batch script as Slurm would run it, with a fake `srun` and `scontrol` for a cluster."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pansight.training.checkpoints import read_checkpoint

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "train.sbatch"

SRUN = """#!/bin/bash
# two processes on one machine, as `srun --ntasks=2` starts them; the first that fails ends the other
while [[ "$1" == -* ]]; do shift; done
for rank in 0 1; do
    SLURM_PROCID=$rank SLURM_LOCALID=$rank SLURM_NODEID=0 SLURM_NTASKS=2 SLURM_NNODES=1 \\
        SLURM_STEP_NUM_TASKS=2 SLURM_JOB_NODELIST=127.0.0.1 "$@" &
done
code=0
for rank in 0 1; do wait -n || { one=$?; [ "$one" -gt "$code" ] && code=$one; }; done
exit $code
"""

RECIPE = {
    "data": {"kind": "scenes", "size": [32, 64]},
    "model": {
        "config": {
            "depth": 18, "width": 8, "backbone_norm": "batch", "aggregated_dim": 16, "hidden_dim": 32,
            "proposals": 10, "feedforward_dim": 64, "heads": 4, "points": 64,
        }
    },
    "optimizer": {"one_rate": True},
    "validation": {"every": 2, "pictures": 3},
    "steps": 2,
    "batch_size": 1,
    "workers": 0,
    "threads": 1,
    "device": "cpu",
    "checkpoint_every": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """A folder of programs, and what the last job did."""

    folder: Path

    def program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def sbatch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env={
                **os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
                "SLURM_JOB_ID": str(20_000 + os.getpid()),
            },
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """With srun, and a scontrol that writes down what it is told."""
    made = Cluster(tmp_path)
    made.program("srun", SRUN)
    made.program("scontrol", f'#!/bin/bash\necho "$*" >> {tmp_path}/scontrol.txt\n')
    return made


def test_a_job_that_was_told_to_stop_is_put_back_into_the_queue(cluster: Cluster) -> None:
    cluster.program(
        "pansight", f'#!/bin/bash\necho "$SLURM_PROCID: $*" >> {cluster.folder}/said.txt\nexit 143\n'
    )
    done = cluster.sbatch("yoso-tiny", "runs/x", "--steps", "9")
    assert done.returncode == 143, done.stderr
    said = sorted((cluster.folder / "said.txt").read_text().splitlines())
    assert said == [f"{rank}: train yoso-tiny --output runs/x --resume --steps 9" for rank in (0, 1)]
    assert (cluster.folder / "scontrol.txt").read_text() == f"requeue {20_000 + os.getpid()}\n"


def test_a_job_that_failed_is_not(cluster: Cluster) -> None:
    cluster.program("pansight", "#!/bin/bash\nexit 2\n")
    assert cluster.sbatch("yoso-tiny", "runs/x").returncode == 2
    assert not (cluster.folder / "scontrol.txt").exists()
    assert cluster.sbatch("yoso-tiny").returncode == 2


@pytest.mark.slow
def test_two_processes_train_as_srun_starts_them(cluster: Cluster) -> None:
    """No option says how many there are: both know it from the environment, and one writes."""
    recipe = cluster.folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    cluster.program("pansight", f'#!/bin/bash\nexec {sys.executable} -m pansight.cli.main "$@"\n')
    done = cluster.sbatch(str(recipe), str(cluster.folder / "run"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("weights: ") == 1
    state = read_checkpoint(cluster.folder / "run" / "last.ckpt")
    assert state["global_step"] == 2
    rows = (cluster.folder / "run" / "validation.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2"]
    written = yaml.safe_load((cluster.folder / "run" / "config.yaml").read_text())
    assert (written["devices"], written["nodes"]) == (1, 1), "a later job may have other machines"
