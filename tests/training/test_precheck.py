"""What is said of a data set before the first step, through the real command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pansight.cli.main import app
from pansight.errors import DataError

RECIPE = """
data: {kind: dataset, folder: DATA, augmentation: {kind: none}}
model:
  config: {depth: 18, width: 8, backbone_norm: batch, aggregated_dim: 16, hidden_dim: 32, proposals: 10,
           feedforward_dim: 64, heads: 4, points: 64}
optimizer: {one_rate: true}
validation: {every: 1, pictures: 1}
steps: 1
batch_size: 2
workers: 0
threads: 1
device: cpu
"""

Run = Callable[..., str]


@pytest.fixture
def training(tmp_path: Path) -> Run:
    """Train a step on a folder; what was said."""
    recipe = tmp_path / "recipe.yaml"

    def run(data: Path, *arguments: str, code: int = 0) -> str:
        recipe.write_text(RECIPE.replace("DATA", str(data)))
        command = ["train", str(recipe), "--output", str(tmp_path / "out"), *arguments]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return run


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("remark: ")]


def test_a_sound_set_is_trained_on_without_a_word(shared_data: Path, training: Run) -> None:
    output = training(shared_data / "cases" / "sound")
    assert not lines(output) and "weights: " in output


def test_flags_written_as_text_are_read_and_told_of(shared_data: Path, training: Run) -> None:
    output = training(shared_data / "cases" / "iscrowd_text")
    told = lines(output)
    assert len(told) == 2 and all("iscrowd of segment 11 is the string '0'" in line for line in told)
    assert "pansight data check" in told[0] and "weights: " in output


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("all_crowd", r"panoptic_train\.json: each of its \d+ objects is a crowd \(iscrowd 1\)"),
        ("all_empty", r"panoptic_train\.json: none of its 4 images has a segment"),
    ],
)
def test_where_nothing_can_be_learned_training_does_not_start(
    shared_data: Path, training: Run, tmp_path: Path, case: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        training(shared_data / "cases" / case)
    assert "\n" not in str(caught.value) and "--no-check" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert "weights: " in training(shared_data / "cases" / case, "--no-check")


def test_a_class_of_the_validation_set_without_segments_is_accepted(
    shared_data: Path, training: Run, tmp_path: Path
) -> None:
    case = shared_data / "cases" / "val_more_classes"
    assert "weights: " in training(case)
    # with a segment, it is still an error that names it
    used = tmp_path / "used"
    shutil.copytree(case, used)
    path = used / "panoptic_val.json"
    content: dict[str, Any] = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["category_id"] = 5
    path.write_text(json.dumps(content))
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(DataError, match="'tree'"):
        training(used)


def test_a_small_set_with_a_broken_image_is_refused_before_the_first_step(
    shared_data: Path, training: Run, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(shared_data / "cases" / "sound", broken)
    (broken / "train" / "p3.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 4 images looked at cannot be read: .*p3\.jpg"):
        training(broken)
    assert not (tmp_path / "out").exists()


def test_what_a_resumed_training_does_not_take_from_a_recipe_is_told(
    shared_data: Path, training: Run, tmp_path: Path
) -> None:
    case = shared_data / "cases" / "sound"
    training(case)
    assert not lines(training(case, "--resume"))
    other = shutil.copytree(case, tmp_path / "other")
    (told,) = lines(training(other, "--resume"))
    assert "has other data, which are ignored" in told and "--set KEY=VALUE" in told
