"""Models as configurations ask for them, and weights to start from."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.training.building import build_model
from pansight.training.config import ModelChoice
from pansight.zoo.native import save_native

SCENES = Categories.builtin("scenes")
SMALL: dict[str, Any] = {
    "depth": 18,
    "width": 8,
    "aggregated_dim": 16,
    "hidden_dim": 32,
    "proposals": 10,
    "feedforward_dim": 64,
    "heads": 4,
}


def test_fields_change_the_defaults_and_presets() -> None:
    model = build_model(ModelChoice(config=SMALL), SCENES)
    assert model.config == YOSOConfig(**SMALL)
    assert model.preprocess == Preprocess()
    choice = ModelChoice(preset="yoso-r50-ade20k", config=SMALL)
    model = build_model(choice, SCENES)
    assert model.config == YOSOConfig(**SMALL, temperature=0.5, object_threshold=0.2)
    assert model.preprocess.short == 640
    assert model.categories == SCENES


def test_unknown_fields_are_named() -> None:
    with pytest.raises(InputError, match=r"model\.config: widht: no such option"):
        build_model(ModelChoice(config={"widht": 8}), SCENES)


def saved(path: Path, categories: Categories, **changes: Any) -> YOSO:
    model = YOSO(YOSOConfig(**SMALL | changes), categories, Preprocess())
    save_native(model, path)
    return model


def test_start_takes_all_weights_of_the_same_categories(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    source = saved(path, SCENES)
    model = build_model(ModelChoice(config=SMALL, start=str(path)), SCENES)
    for key, tensor in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    assert model.training


@pytest.mark.parametrize("count", [5, len(SCENES)])
def test_start_with_other_categories_leaves_class_layers_fresh(tmp_path: Path, count: int) -> None:
    path = tmp_path / "start.safetensors"
    source = saved(path, SCENES)
    others = Categories(list(Categories.builtin("coco"))[:count], "others")
    torch.manual_seed(5)
    fresh = build_model(ModelChoice(config=SMALL), others).state_dict()
    torch.manual_seed(5)
    model = build_model(ModelChoice(config=SMALL, start=str(path)), others)
    classes = {key for key in fresh if "fc_cls" in key or "empty_weight" in key}
    assert len(classes) == 5
    for key, tensor in model.state_dict().items():
        expected = fresh[key] if key in classes else source.state_dict()[key]
        assert torch.equal(tensor, expected), key


def test_start_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    saved(path, SCENES, proposals=12)
    with pytest.raises(CheckpointError, match=r"another architecture .*mis-shaped"):
        build_model(ModelChoice(config=SMALL, start=str(path)), SCENES)
