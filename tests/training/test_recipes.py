"""Recipes can be read, changed and written down again, and mistakes are named."""

from pathlib import Path

import pytest
import yaml

from pansight.errors import InputError
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED, DataOnDisk, TrainConfig
from pansight.training.recipes import explained, make_config, read_recipe, recipe_names, to_yaml, with_options


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_of_the_package_are_sound(name: str) -> None:
    config = make_config(
        with_options(read_recipe(name), [] if name.endswith("-tiny") else ["data.folder=there"])
    )
    assert make_config(yaml.safe_load(to_yaml(config))) == config
    assert make_config(yaml.safe_load(explained(config))) == config


@pytest.mark.parametrize(
    ("name", "steps", "size"),
    [
        ("yoso-r50-coco", 368_750, (1024, 1024)),
        ("yoso-r50-cityscapes", 180_000, (512, 1024)),
        ("yoso-r50-ade20k", 160_000, (640, 640)),
        ("yoso-r50-mapillary", 300_000, (1024, 1024)),
    ],
)
def test_paper_recipes_say_what_the_paper_says(name: str, steps: int, size: tuple[int, int]) -> None:
    config = make_config(with_options(read_recipe(name), ["data.folder=there"]))
    assert isinstance(config.data, DataOnDisk)
    assert (config.steps, config.data.augmentation.size) == (steps, size)
    assert config.optimizer.learning_rate == 1e-4
    assert config.optimizer.weight_decay == 0.05
    assert config.optimizer.gradient_clip == 0.01
    assert config.batch_size * config.accumulate == 16


@pytest.mark.parametrize(
    ("name", "steps", "rate", "drops", "batch"),
    [
        ("dense-r50-cityscapes", 48_000, 0.013, (36_000, 44_000), 8),
        ("dense-r50-coco", 180_000, 0.01, (120_000, 160_000), 16),
    ],
)
def test_dense_detections_recipes_say_what_their_paper_says(
    name: str, steps: int, rate: float, drops: tuple[int, int], batch: int
) -> None:
    config = make_config(with_options(read_recipe(name), ["data.folder=there"]))
    assert (config.steps, config.optimizer.learning_rate) == (steps, rate)
    assert (config.optimizer.kind, config.optimizer.momentum) == ("sgd", 0.9)
    assert config.optimizer.weight_decay == 1e-4
    schedule = config.optimizer.schedule
    assert (schedule.kind, schedule.milestones, schedule.gamma) == ("multistep", drops, 0.1)
    assert schedule.warmup_steps == 500 and schedule.warmup_factor == pytest.approx(1 / 3)
    assert config.batch_size * config.accumulate == batch
    assert config.model.preset == name


def test_the_tiny_models_have_one_budget() -> None:
    yoso, dense = (make_config(read_recipe(name)) for name in ("yoso-tiny", "dense-tiny"))
    model = dense.model
    assert dense.model_copy(update={"model": yoso.model}) == yoso
    assert model.preprocess == yoso.model.preprocess


def test_every_option_is_explained() -> None:
    text = explained(TrainConfig())
    assert "# greatest L2 norm of all gradients together; 0: no bound\n  gradient_clip: 0.01" in text
    assert "    kind: poly" in text


def test_options_are_applied_in_order_and_leave_the_recipe_alone() -> None:
    recipe = {"optimizer": {"learning_rate": 1.0, "gradient_clip": 2.0}}
    changed = with_options(
        recipe, ["optimizer.learning_rate=3e-4", "steps=7", "steps=8", "data.size=[64, 96]"]
    )
    assert recipe == {"optimizer": {"learning_rate": 1.0, "gradient_clip": 2.0}}
    config = make_config(changed)
    assert config.optimizer.learning_rate == 3e-4
    assert config.optimizer.gradient_clip == 2.0
    assert config.steps == 8
    assert config.data.size == (64, 96)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["optimizer.learning_rat=1"], ["optimizer.learning_rat", "no such option"]),
        (["steps=-1", "batch_size=many"], ["steps", "batch_size"]),
        (["precision=8"], ["precision", "bf16-mixed"]),
        (["data.kind=coco-panoptic"], ["--data FOLDER"]),
        (
            ["data={kind: coco-panoptic, train_json: a, train_images: b, validation_json: c}"],
            ["validation_images"],
        ),
        (["data.size=[1]"], ["data.size"]),
        (["data.kind=videos"], ["data", "scenes", "dataset"]),
        (["data=videos"], ["data"]),
        ([f"seed={VALIDATION_SCENES_SEED}"], ["seed", "choose another"]),
        ([f"seed={TEST_SCENES_SEED}"], ["seed", "choose another"]),
        (["data.augmentation={kind: lsj, flip: false}"], ["data.augmentation: lsj always mirrors", "squash"]),
    ],
)
def test_wrong_options_are_named_in_one_line(options: list[str], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        make_config(with_options({}, options))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("option", ["steps", "=3", "steps=[1"])
def test_malformed_settings_are_refused(option: str) -> None:
    with pytest.raises(InputError, match="--set"):
        with_options({}, [option])


def test_unreadable_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing is neither a file nor a recipe; did you mean .*yoso-tiny"):
        read_recipe("nothing")
    broken, listed, empty, binary = (tmp_path / name for name in ("b.yaml", "l.yaml", "e.yaml", "x.yaml"))
    broken.write_text("a: [1")
    listed.write_text("- 1")
    empty.write_text("")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"b\.yaml is not valid YAML"):
        read_recipe(str(broken))
    with pytest.raises(InputError, match=r"l\.yaml must hold options by name"):
        read_recipe(str(listed))
    with pytest.raises(InputError, match=r"x\.yaml is not valid YAML"):
        read_recipe(str(binary))
    assert make_config(read_recipe(str(empty))) == TrainConfig()
