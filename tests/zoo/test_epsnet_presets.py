"""The EPSNet models by name, and files as they were released."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.categories import Categories
from pansight.data.transforms import Compose, Squash, WindowWithCenter
from pansight.errors import CheckpointError
from pansight.models.epsnet import EPSNetConfig
from pansight.models.preprocess import Preprocess
from pansight.training.config import DataOnDisk
from pansight.training.data_module import augmentation
from pansight.training.recipes import make_config, read_recipe, with_options
from pansight.zoo import available, load_model, preset
from pansight.zoo.methods import construct, parameter_count
from pansight.zoo.official import load_official, read_state, recognise

State = dict[str, Tensor]


def blank(name: str) -> torch.nn.Module:
    spec = preset(name)
    return construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)


@pytest.mark.parametrize(
    ("name", "parameters", "channels", "entries"),
    [
        ("epsnet-r50-coco", 32_321_631, 26_560, 325),
        ("epsnet-r101-coco", 51_313_759, 52_672, 580),
        ("epsnet-r101-coco-650", 51_313_759, 52_672, 580),
    ],
)
def test_parameters(name: str, parameters: int, channels: int, entries: int) -> None:
    """Norms released with weight and bias as parameters have buffers here; batches are not counted."""
    model = blank(name)
    assert parameter_count(model) == parameters - 2 * channels
    assert len(model.state_dict()) == entries


def test_entries_of_the_released_file() -> None:
    state = blank("epsnet-r101-coco").state_dict()
    shapes = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.bn1.running_var": (64,),
        "backbone.layers.2.22.conv2.weight": (256, 256, 3, 3),
        "backbone.layers.3.0.downsample.0.weight": (2048, 1024, 1, 1),
        "backbone.layers.3.0.downsample.1.running_mean": (2048,),
        "fpn.lat_layers.0.weight": (256, 2048, 1, 1),
        "fpn.lat_layers.2.weight": (256, 512, 1, 1),
        "fpn.pred_layers.1.bias": (256,),
        "fpn.downsample_layers.1.weight": (256, 256, 3, 3),
        "proto_net.10.weight": (256, 256, 3, 3),
        "proto_net.13.weight": (32, 256, 1, 1),
        "proto_net.14.bias": (32,),
        "prediction_layers.0.upfeature.1.weight": (256,),
        "prediction_layers.0.bbox_layer.weight": (12, 256, 3, 3),
        "prediction_layers.0.conf_layer.bias": (243,),
        "prediction_layers.0.mask_layer.weight": (96, 256, 3, 3),
        "CALayer.query_conv.weight": (128, 256, 1, 1),
        "CALayer.out_conv.weight": (256, 128, 1, 1),
        "semantic_seg_conv.0.weight": (256, 256, 3, 3),
        "semantic_seg_conv.3.weight": (1760, 256, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_what_the_released_code_says() -> None:
    r50, r101, larger = (preset(f"epsnet-{name}") for name in ("r50-coco", "r101-coco", "r101-coco-650"))
    for spec, side in ((r50, 550), (r101, 550), (larger, 650)):
        assert spec.preprocess.squash == (side, side)
        assert (spec.preprocess.divisor, spec.preprocess.resample) == (1, "bilinear")
        assert (spec.preprocess.channels, spec.preprocess.mean) == ("rgb", (123.68, 116.78, 103.94))
        assert spec.preprocess.std == (58.40, 57.12, 57.38)
        assert isinstance(spec.config, EPSNetConfig)
        assert spec.config.anchor_input == side
    square: list[Any] = [spec.config.square_anchors for spec in (r50, r101, larger)]  # type: ignore[attr-defined]
    assert square == [True, False, True]
    assert isinstance(larger.config, EPSNetConfig)
    assert list(larger.config.anchor_scales) == [28, 56, 113, 226, 453]
    assert larger.config.masks_to_train == 300
    assert [[(f.pq, f.fps) for f in spec.figures] for spec in (r50, r101)] == [[(35.8, 20.6)], [(38.6, 19.6)]]
    assert all("drive.usercontent.google.com" in spec.weights[0].url for spec in (r50, r101))
    with pytest.raises(CheckpointError, match="no published weights"):
        load_model("epsnet-r101-coco-650")


def counted(state: State) -> State:
    """As released: norms count batches."""
    counts = {
        key.replace("running_var", "num_batches_tracked"): torch.tensor(7)
        for key in state
        if key.endswith("running_var")
    }
    assert counts
    return {**state, **counts}


def older(state: State) -> State:
    """With what the released loader throws away."""
    unread = {
        "backbone.layer1.0.conv1.weight": torch.zeros(3),
        "fpn.downsample_layers.2.weight": torch.zeros(3),
        "fpn.downsample_layers.2.bias": torch.zeros(3),
    }
    return {**counted(state), **unread}


def without_attention(state: State) -> State:
    """As the released code saves its normal fusion: with layers that it never calls."""
    numbers = (0, 1, 3, 4, 6, 7)
    unused = {
        f"fusion_module.fusion_subnet.{n}.{end}": torch.zeros(3)
        for n in numbers
        for end in ("weight", "bias")
    }
    return {**counted(state), **unused}


@pytest.mark.parametrize(
    ("spelled", "fusion"),
    [(dict, "attention"), (counted, "attention"), (older, "attention"), (without_attention, "normal")],
    ids=["bare", "as released", "older", "normal fusion"],
)
def test_files_in_any_spelling(tmp_path: Path, spelled: Callable[[State], State], fusion: str) -> None:
    spec = preset("epsnet-r50-coco")
    torch.manual_seed(0)
    sides = {"depth": 18, "width": 4, "pyramid_channels": 8, "norm_groups": 4, "fusion_channels": 4}
    small = spec.config.model_copy(update={**sides, "fusion": fusion})
    spec = replace(spec, config=small)
    model = construct(spec.method, small, spec.categories, spec.preprocess)
    path = tmp_path / "released.pth"
    torch.save(spelled(dict(model.state_dict())), path)
    found = load_official(spec, read_state(path), path)
    assert list(found.state_dict()) == list(model.state_dict())
    for key, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", ["epsnet-r50-coco", "epsnet-r101-coco"])
def test_released_files_are_recognised(name: str) -> None:
    state = counted(dict(blank(name).state_dict()))
    assert recognise(state, "released.pth", available()).name == name


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    state = dict(blank("epsnet-r50-coco").state_dict())
    state["proto_net.15.bias"] = state.pop("proto_net.14.bias")
    path = tmp_path / "wrong.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"1 missing: proto_net.14.bias; 1 unexpected"):
        load_model("epsnet-r50-coco", weights=path)


@pytest.mark.parametrize(
    ("depth", "steps", "drops"),
    [
        (50, 2_600_000, (800_000, 1_900_000, 2_200_000, 2_400_000)),
        (101, 3_200_000, (1_120_000, 2_400_000, 2_800_000, 3_000_000)),
    ],
)
def test_recipes_say_what_the_released_code_says(depth: int, steps: int, drops: tuple[int, ...]) -> None:
    name = f"epsnet-r{depth}-coco"
    config = make_config(with_options(read_recipe(name), ["data.folder=there"]))
    assert config.model.preset == name
    assert (config.steps, config.batch_size, config.accumulate) == (steps, 2, 1)
    optimizer = config.optimizer
    assert (optimizer.kind, optimizer.learning_rate, optimizer.momentum) == ("sgd", 1e-3, 0.9)
    assert (optimizer.weight_decay, optimizer.gradient_clip) == (5e-4, 0)
    schedule = optimizer.schedule
    assert (schedule.kind, schedule.milestones, schedule.gamma) == ("multistep", drops, 0.1)
    assert (schedule.warmup_steps, schedule.warmup_factor) == (500, 0.1)
    assert isinstance(config.data, DataOnDisk)
    augmented = config.data.augmentation
    assert (augmented.kind, augmented.size, augmented.scales) == ("squash", (550, 550), (1.0, 1.5))
    assert augmented.color and augmented.flip


@pytest.mark.parametrize("depth", [50, 101])
def test_recipes_train_with_anchors_of_true_aspect(depth: int) -> None:
    """The preset of ResNet-50 has the released weights' square ones."""
    config = make_config(with_options(read_recipe(f"epsnet-r{depth}-coco"), ["data.folder=there"]))
    assert config.model.preset is not None
    spec = preset(config.model.preset)
    assert not EPSNetConfig(**{**spec.config.model_dump(), **config.model.config}).square_anchors


@pytest.mark.parametrize("depth", [50, 101])
def test_training_can_do_without_augmentation(depth: int) -> None:
    """The paper's Table 1."""
    options = ["data.folder=there", "data.augmentation.scales=[1,1]", "data.augmentation.flip=false"]
    options.append("data.augmentation.color=false")
    config = make_config(with_options(read_recipe(f"epsnet-r{depth}-coco"), options))
    steps = (Squash((550, 550), 1.0, 1.0), WindowWithCenter((550, 550)))
    assert augmentation(config.data.augmentation) == Compose(steps)


def test_the_small_model_has_the_budget_of_the_others() -> None:
    small, yoso = (make_config(read_recipe(name)) for name in ("epsnet-tiny", "yoso-tiny"))
    assert small.model_copy(update={"model": yoso.model}) == yoso
    assert small.model.preprocess == yoso.model.preprocess
    config = EPSNetConfig(**small.model.config)
    model = construct("epsnet", config, Categories.builtin("scenes"), Preprocess(), blank=True)
    assert parameter_count(model) <= 3_000_000
