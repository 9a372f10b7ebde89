"""`pansight train` as people type it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pansight.categories import Categories
from pansight.cli.main import app
from pansight.errors import DataError, InputError, MissingExtraError
from pansight.training.held_out import hold_out
from pansight.zoo.registry import load_model

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


@pytest.mark.parametrize("name", ["yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny"])
def test_labels_in_place_of_scenes_are_augmented_to_the_model_s_size(name: str) -> None:
    content = yaml.safe_load(run(name, "--data", "mine", "--options"))
    data, preprocess = content["data"], content["model"]["preprocess"]
    assert (data["kind"], data["folder"]) == ("dataset", "mine")
    expected = preprocess["squash"] or [preprocess["short"], preprocess["short"] * 4 // 3]
    assert data["augmentation"]["size"] == expected
    assert data["augmentation"]["kind"] == ("squash" if preprocess["squash"] else "photo")


@pytest.mark.parametrize(
    "text",
    [
        "model: {preset: yoso-tiny}",
        "{data: {size: [192, 256]}, model: {preset: yoso-tiny}}",
        "{data: {kind: scenes}, model: {preset: yoso-tiny}}",
        None,  # all options, as config.yaml and --options write them
    ],
)
def test_so_are_they_with_recipes_of_ones_own(text: str | None, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text or run("yoso-tiny", "--options"))
    augmentation = yaml.safe_load(run(str(mine), "--data", "mine", "--options"))["data"]["augmentation"]
    assert (augmentation["kind"], augmentation["size"]) == ("photo", [192, 256])
    mine.write_text("model: {preset: yoso-r50-coco}")
    augmentation = yaml.safe_load(run(str(mine), "--data", "mine", "--options"))["data"]["augmentation"]
    assert (augmentation["kind"], augmentation["size"]) == ("lsj", [1024, 1024])


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


LABELS = {
    "categories": [
        {"id": 4, "name": "Person", "isthing": 1},
        {"id": 9, "name": "tree", "isthing": 0},
        {"id": 2, "name": "sky", "isthing": 0},
    ]
}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Twelve images with their panoptic JSON, in three categories, of which yoso-tiny knows two."""
    annotations, images = [], []
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for number in range(12):
        generator = np.random.default_rng(number)
        ids = np.ones((48, 64), dtype=np.int32)
        ids[24:] = 2
        if number:  # the first image has no object
            ids[10:40, 5 * (number % 6) : 5 * (number % 6) + 20] = 3
        colors = np.array([[0, 0, 0], [90, 160, 240], [60, 120, 40], [200, 60, 60]])
        image = np.clip(colors[ids] + generator.normal(0, 9, (48, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        png = np.zeros((48, 64, 3), dtype=np.uint8)
        png[..., 0] = ids
        Image.fromarray(png).save(tmp_path / "labels" / f"{number}.png")
        rows = [
            {"id": id, "category_id": category, "iscrowd": 0} for id, category in ((1, 2), (2, 9), (3, 4))
        ]
        there = [row for row in rows if (ids == row["id"]).any()]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": there})
        images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 64})
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({**LABELS, "images": images, "annotations": annotations}))
    return path


SMALL_STEPS = (
    "--workers",
    "0",
    "--device",
    "cpu",
    "--batch-size",
    "2",
    "--set",
    "data.augmentation.size=[64, 64]",
)


@pytest.mark.slow
def test_fine_tuning_as_users_do_it(labels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    output = run(
        "--model", "yoso-tiny", "--data", str(labels), "--output", str(folder), "--steps", "2", *SMALL_STEPS,
        "--freeze", "backbone", "--log", "csv", "--profile",
    ).replace("\n", " ")  # fmt: skip
    held_out = hold_out(_Names(), 0.1)[1]
    training = 12 - (0 if held_out is None else len(held_out))
    assert f"fine-tuning on {training} images: 2 steps of 2" in output
    assert "class rows kept from yoso-tiny: Person, sky (2 of 3); newly initialised: tree" in output
    assert "frozen: " in output
    assert "profile of 0 passes" in output
    model = load_model(folder / "final.safetensors")
    assert model.categories.names == ("Person", "tree", "sky")
    assert (folder / "curves.html").is_file() and not (folder / "events").exists()
    (sheet,) = [path for path in (folder / "samples").iterdir() if "00000002" in path.name]
    assert Image.open(sheet).width > 3 * 300, "image, truth and map side by side"


@pytest.mark.slow
def test_a_dry_run_leaves_nothing(labels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    output = run(
        "--model", "yoso-tiny", "--data", str(labels), "--output", str(folder), *SMALL_STEPS, "--dry-run",
    )  # fmt: skip
    assert "dry run: nothing is written; 3 categories" in output
    assert "4 images in 40 steps: loss " in output and "fitted" in output
    assert "time: " in output and "memory: " in output
    assert not folder.exists()


def test_a_dry_run_looks_for_something_to_learn(labels: Path) -> None:
    content = json.loads(labels.read_text())
    for row in content["annotations"]:
        row["segments_info"] = []
        Image.new("RGB", (64, 48)).save(labels.with_suffix("") / row["file_name"])
    labels.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has a segment to learn from"):
        run("--model", "yoso-tiny", "--data", str(labels), *SMALL_STEPS, "--dry-run")


def test_options_of_fine_tuning(labels: Path) -> None:
    text = run(
        "--model", "yoso-tiny", "--data", str(labels), "--options", "--lr", "0.002", "--freeze", "backbone",
        "--freeze", "yoso_neck.*", "--patience", "3", "--log", "wandb", "--log", "csv",
        "--devices", "2", "--nodes", "3",
    )  # fmt: skip
    assert text.startswith("# fine-tuning on ")
    content = yaml.safe_load(text)
    assert content["optimizer"]["learning_rate"] == 0.002
    assert content["freeze"] == ["backbone", "yoso_neck.*"]
    assert content["validation"]["patience"] == 3
    assert content["log"] == ["wandb", "csv"]
    assert (content["devices"], content["nodes"]) == (2, 3)
    assert content["steps"] == 200
    assert "rate 0.002 (as given), cosine" in text
    with pytest.raises(InputError, match="--model needs --data"):
        run("--model", "yoso-tiny")
    with pytest.raises(InputError, match=r"give a recipe \(yoso-tiny\) or --model"):
        run("yoso-tiny", "--model", "yoso-tiny", "--data", str(labels))
    with pytest.raises(InputError, match="--batch-size many: give a number, or auto"):
        run("yoso-tiny", "--batch-size", "many")


class _Names:
    names = tuple(f"{number}.png" for number in range(12))
    image_ids = names
    categories = Categories.builtin("scenes")

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        return self.names[index]

    def truth(self, index: int) -> Any:
        return self.names[index]


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


@pytest.mark.parametrize(("rated", "rate"), [(True, 5e-4), (False, 1e-3)])
def test_a_rate_that_was_given_does_not_follow_the_batch(
    rated: bool, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansight.cli.train_trials import batch_that_fits
    from pansight.training.recipes import make_config
    from pansight.training.sources import open_sources

    monkeypatch.setattr(
        "pansight.training.trial.find_batch_size", lambda config, sources: (32, "batch of 32")
    )
    config = make_config({"optimizer": {"learning_rate": 5e-4}, "batch_size": 8})
    found = batch_that_fits(config, open_sources(config), rated=rated)
    assert (found.batch_size, found.optimizer.learning_rate) == (32, rate)


def test_an_augmentation_that_is_no_section_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("{model: {preset: yoso-tiny}, data: {augmentation: flip}}")
    with pytest.raises(InputError, match="augmentation"):
        run(str(tmp_path / "r.yaml"), "--data", "mine", "--options")
