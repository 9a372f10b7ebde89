"""Fine-tuning: the stated rule, from a model's name or file and any labels."""

from pathlib import Path
from typing import Any

import pytest

from pansight.errors import PansightError
from pansight.training.building import build_model
from pansight.training.config import ModelChoice, TrainConfig
from pansight.training.finetuning import fine_tuning, rate, rule, scaled
from pansight.training.recipes import make_config
from pansight.zoo import load_model


def ended(images: int, **changes: Any) -> TrainConfig:
    return make_config(scaled(fine_tuning("yoso-tiny", "labels.json", **changes), images))


@pytest.mark.parametrize(
    ("images", "batch", "steps"), [(4, None, 200), (1000, None, 5000), (1000, 16, 2500), (10**6, 16, 20_000)]
)
def test_steps_follow_the_images(images: int, batch: int | None, steps: int) -> None:
    config = ended(images, batch_size=batch)
    assert config.steps == steps
    assert config.batch_size == (batch or 8)
    assert config.validation.every == steps // 10
    assert config.optimizer.schedule.kind == "cosine"
    assert config.optimizer.schedule.warmup_steps == min(steps // 20, 100)
    assert f"{images} images: {steps} steps of {config.batch_size}" in rule(config.model_dump(), images)


def test_the_rate_is_half_the_model_s_own_by_the_batch() -> None:
    # yoso-tiny learned with 1e-3 at 8
    assert ended(100).optimizer.learning_rate == pytest.approx(5e-4)
    assert ended(100, batch_size=32).optimizer.learning_rate == pytest.approx(1e-3)
    sgd = {"batch_size": 4, "accumulate": 4, "optimizer": {"kind": "sgd", "learning_rate": 0.01}}
    assert rate(sgd, 8) == pytest.approx(0.0025)
    assert rate({}, 16) == pytest.approx(5e-5)


def test_what_is_left_out_is_the_model_s() -> None:
    config = ended(100)
    assert config.model.preset == config.model.start == "yoso-tiny"
    data: Any = config.data
    assert (str(data.folder), data.held_out) == ("labels.json", 0.1)
    assert data.augmentation.kind == "photo" and data.augmentation.size == (192, 256)
    assert config.optimizer.gradient_clip == 1.0 and config.channels_last
    assert config.validation.patience == 5


def test_released_models_and_their_augmentation() -> None:
    config = make_config(scaled(fine_tuning("yoso-r50-ade20k", "mine"), 500))
    assert config.model.preset == "yoso-r50-ade20k"
    assert config.data.augmentation.kind == "crop"
    assert config.optimizer.learning_rate == pytest.approx(5e-5 * (8 / 16) ** 0.5, rel=1e-2)


def test_what_a_model_says_category_by_category_is_left_behind() -> None:
    """Its categories are not those of the new data."""
    assert load_model("panoptic-fcn-photo").merge_settings.calibration_each
    config = make_config(scaled(fine_tuning("panoptic-fcn-photo", "labels.json"), 100))
    merge = build_model(config.model, load_model("yoso-tiny").categories).merge_settings
    assert merge.calibration_each == () == merge.void_below_each
    assert merge.object_threshold == load_model("panoptic-fcn-photo").merge_settings.object_threshold


def test_a_preset_of_other_categories_leaves_it_behind_too() -> None:
    choice = ModelChoice(preset="panoptic-fcn-photo")
    assert build_model(choice, load_model("panoptic-fcn-photo").categories).merge_settings.calibration_each
    assert not build_model(choice, load_model("yoso-tiny").categories).merge_settings.calibration_each


def test_a_model_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(PansightError, match=r"--model yoso-tinny is neither a file nor a model: .*yoso-tiny"):
        fine_tuning("yoso-tinny", "labels.json")
