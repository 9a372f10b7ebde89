"""`pansight train` as people type it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pansight.cli.main import app
from pansight.errors import InputError, MissingExtraError

TINY = """
data: {kind: scenes, size: [32, 64]}
model:
  config: {depth: 18, width: 8, backbone_norm: batch, aggregated_dim: 16, hidden_dim: 32, proposals: 10,
           feedforward_dim: 64, heads: 4, points: 64}
optimizer: {one_rate: true}
validation: {every: 0}
steps: 2
batch_size: 2
workers: 0
threads: 1
device: cpu
log_every: 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A training of two very small steps."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["train", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_trains_and_resumes(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    output = run(str(recipe), "--output", str(folder))
    assert "step 2/2" in output
    assert f"weights: {folder / 'final.safetensors'}" in output.replace("\n", "")
    assert {"config.yaml", "training.csv", "last.ckpt", "final.safetensors"} <= {
        path.name for path in folder.iterdir()
    }
    output = run("--resume", "--output", str(folder), "--steps", "3")
    assert "step 3/3" in output
    assert len((folder / "training.csv").read_text().splitlines()) == 4


def test_options_are_shown_with_their_meaning_and_changes(recipe: Path) -> None:
    text = run(
        str(recipe), "--options", "--steps", "7", "--lr", "3e-4", "--precision", "32",
        "--set", "optimizer.schedule.kind=cosine", "--batch-size", "5", "--weights", "yoso-tiny",
    )  # fmt: skip
    assert "# optimizer steps in all" in text
    content = yaml.safe_load(text)
    assert content["steps"] == 7
    assert content["batch_size"] == 5
    assert content["precision"] == "32"
    assert content["optimizer"]["learning_rate"] == 3e-4
    assert content["optimizer"]["schedule"]["kind"] == "cosine"
    assert content["model"]["start"] == "yoso-tiny"
    assert yaml.safe_load(run("--options"))["steps"] == 10_000


def test_data_is_swapped_and_augmentation_stays() -> None:
    data = yaml.safe_load(run("yoso-r50-ade20k", "--data", "mine", "--options"))["data"]
    assert (data["kind"], data["folder"], data["categories"]) == ("dataset", "mine", "ade20k")
    assert data["augmentation"]["kind"] == "crop"
    data = yaml.safe_load(run("yoso-r50-ade20k", "--data", "scenes", "--options"))["data"]
    assert data["kind"] == "scenes"
    data = yaml.safe_load(run("yoso-tiny", "--data", "mine", "--options"))["data"]
    assert (data["kind"], data["folder"]) == ("dataset", "mine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a recipe"),
        (["nothing"], "nothing is neither a file nor a recipe"),
        (["yoso-tiny", "--set", "steps"], "write key=value"),
        (["yoso-tiny", "--set", "stepz=3"], "stepz"),
        (["yoso-r50-coco"], "--data FOLDER"),
        (["--resume", "--output", "nowhere"], r"nothing to resume: .*nowhere.config\.yaml"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_the_missing_extra_is_named(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pansight\[train\]'"):
        run(str(recipe))


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "pansight.cli.main", "train", str(recipe), "--output", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--steps", "100000", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 240
        while not (folder / "training.csv").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # as a terminal does: to the training and its workers
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=240)[0]
    assert process.returncode == 130, output
    assert f"go on with: pansight train --resume --output {folder}" in output
    assert "Traceback" not in output
    assert (folder / "last.ckpt").exists()
