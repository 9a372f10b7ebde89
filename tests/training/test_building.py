"""Models as configurations ask for them, and weights to start from."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig, YOSOMergeSettings
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
    assert model.config == YOSOConfig(**SMALL, temperature=0.5, merge=YOSOMergeSettings(object_threshold=0.2))
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
def test_start_with_other_categories_keeps_the_rows_of_equal_names(tmp_path: Path, count: int) -> None:
    path = tmp_path / "start.safetensors"
    source = saved(path, SCENES)
    others = Categories(list(Categories.builtin("coco"))[:count], "others")
    torch.manual_seed(5)
    fresh = build_model(ModelChoice(config=SMALL), others).state_dict()
    torch.manual_seed(5)
    said: list[str] = []
    model = build_model(ModelChoice(config=SMALL, start=str(path)), others, said.append)
    same = [name for name in others.names if name in SCENES.names]
    assert {"person", "car", "motorcycle"} <= set(same)
    (line,) = said
    assert f"{', '.join(same)} ({len(same)} of {count})" in line and "newly initialised: bicycle" in line
    rows = model.class_rows()
    assert len(rows) == 5
    for key, tensor in model.state_dict().items():
        if key not in rows:
            assert torch.equal(tensor, source.state_dict()[key]), key
            continue
        for row, label in enumerate(rows[key]):
            theirs = source.class_rows()[key]
            known = label in theirs
            expected = source.state_dict()[key][theirs.index(label)] if known else fresh[key][row]
            assert torch.equal(tensor[row], expected), (key, label)


def test_start_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    saved(path, SCENES, proposals=12)
    with pytest.raises(CheckpointError, match=r"another architecture .*mis-shaped"):
        build_model(ModelChoice(config=SMALL, start=str(path)), SCENES)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("channels", "bgr", "add --set 'model.preprocess.channels=rgb'$"),
        ("std", (1.0, 1.0, 1.0), r"add --set 'model.preprocess.std=\[58.395, 57.12, 57.375\]'"),
        ("mean", (0.0, 1.0, 2.0), r"add --set 'model.preprocess.mean=\[123.675, 116.28, 103.53\]'"),
    ],
)
def test_start_from_other_colours_is_refused(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = tmp_path / "start.safetensors"
    saved(path, SCENES)
    preprocess = Preprocess.model_validate({field: value})
    with pytest.raises(CheckpointError, match=message):
        build_model(ModelChoice(config=SMALL, start=str(path), preprocess=preprocess), SCENES)


def test_start_with_strides_elsewhere_is_refused(tmp_path: Path) -> None:
    """The shapes are the same."""
    small = {"depth": 50, "width": 4, "pyramid_channels": 8, "encoder_channels": 8}
    path = tmp_path / "start.safetensors"
    save_native(build_model(ModelChoice(method="panoptic_fcn", config=small), SCENES), path)
    choice = ModelChoice(method="panoptic_fcn", config={**small, "stride_in_1x1": False}, start=str(path))
    with pytest.raises(CheckpointError, match=r"add --set 'model\.config\.stride_in_1x1=true'$"):
        build_model(choice, SCENES)
    with pytest.raises(CheckpointError, match=r"is a panoptic_fcn, the model a yoso; start from its kind"):
        build_model(ModelChoice(config=SMALL, start=str(path)), SCENES)


def test_dense_detections_are_built_and_say_what_contradicts(tmp_path: Path) -> None:
    small = {"depth": 18, "width": 4, "pyramid_channels": 8, "box_channels": 8, "class_channels": 8}
    model = build_model(ModelChoice(method="dense_detection", config=small), SCENES)
    assert model.method == "dense_detection"
    with pytest.raises(InputError, match=r"model\.config: mask_loss needs masks"):
        build_model(ModelChoice(method="dense_detection", config={"supervision": "boxes"}), SCENES)
    # weights of ImageNet go through the backbone's own key names
    path = tmp_path / "r18.pth"
    body = model.backbone.body  # type: ignore[union-attr]
    state = {key: torch.rand_like(tensor) for key, tensor in body.state_dict().items()}  # type: ignore[union-attr]
    assert "layer1.0.bn1.weight" in state
    torch.save(state, path)
    filled = build_model(ModelChoice(method="dense_detection", config=small, backbone=path), SCENES)
    for key, tensor in state.items():
        assert torch.equal(filled.state_dict()[f"backbone.body.{key}"], tensor), key
    # class layers alone start anew for other categories
    native = tmp_path / "start.safetensors"
    save_native(model, native)
    others = Categories(list(Categories.builtin("coco"))[:5], "others")
    choice = ModelChoice(method="dense_detection", config=small, start=str(native))
    started = build_model(choice, others).state_dict()
    own = model.state_dict()
    changed = {key for key in own if started[key].shape != own[key].shape}
    assert {key.split(".")[1] for key in changed} == {"cls_logits", "box_cls_logits"}
    assert torch.equal(started["panoptic_head.levelness.weight"], own["panoptic_head.levelness.weight"])
