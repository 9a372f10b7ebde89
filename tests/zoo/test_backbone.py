"""ImageNet weights into a model's ResNet."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pansight.errors import CheckpointError
from pansight.nn.resnet import ResNet
from pansight.zoo import load_backbone
from pansight.zoo.backbone import as_backbone
from pansight.zoo.official import read_state


def torchvision_key(key: str) -> str:
    """Section 7's table, from our side; written apart from the code under test."""
    key = key.replace("stem.conv1.norm", "bn1").replace("stem.conv1", "conv1")
    key = re.sub(r"^res(\d)", lambda stage: f"layer{int(stage[1]) - 1}", key)
    key = key.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")
    return re.sub(r"conv(\d)\.norm", r"bn\1", key)


def as_torchvision(state: dict[str, Any]) -> dict[str, Any]:
    extra = {
        "fc.weight": torch.zeros(10, 8),
        "fc.bias": torch.zeros(10),
        "bn1.num_batches_tracked": torch.tensor(0),
    }
    return {**{torchvision_key(key): tensor for key, tensor in state.items()}, **extra}


def as_detectron2(state: dict[str, Any]) -> dict[str, Any]:
    return {"model": {**state, "stem.fc.weight": torch.zeros(10, 8), "stem.fc.bias": torch.zeros(10)}}


def as_bottom_up(state: dict[str, Any]) -> dict[str, Any]:
    rest = {"proposal_generator.weight": torch.zeros(3)}
    return {"model": {**{f"backbone.bottom_up.{key}": tensor for key, tensor in state.items()}, **rest}}


def as_whole_model(state: dict[str, Any]) -> dict[str, Any]:
    return {
        **{f"backbone.{key}": tensor for key, tensor in state.items()},
        "yoso_head.kernels.bias": torch.zeros(5),
    }


@pytest.mark.parametrize("norm", ["frozen", "batch"])
@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("dress", [as_torchvision, as_detectron2, as_bottom_up, as_whole_model])
def test_every_origin(
    tmp_path: Path,
    make_model: Callable[..., Any],
    same: Callable[..., bool],
    dress: Callable[[dict[str, Any]], dict[str, Any]],
    depth: int,
    norm: str,
) -> None:
    model, source = (make_model(depth=depth, backbone_norm=norm) for _ in range(2))
    for parameter in source.backbone.state_dict().values():
        parameter.add_(1)
    torch.save(dress(dict(source.backbone.state_dict())), tmp_path / "w.pth")
    neck = {key: tensor.clone() for key, tensor in model.yoso_neck.state_dict().items()}
    load_backbone(model, tmp_path / "w.pth")
    if norm == "batch" and dress is as_torchvision:
        source.backbone.stem.conv1.norm.num_batches_tracked.fill_(0)  # the file's own count
    assert same(model.backbone, source.backbone)
    assert all(torch.equal(tensor, model.yoso_neck.state_dict()[key]) for key, tensor in neck.items())


def test_counts_of_batches_are_left_out_for_frozen_norms(
    tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    live, frozen = make_model(backbone_norm="batch"), make_model(backbone_norm="frozen")
    torch.save(as_torchvision(dict(live.backbone.state_dict())), tmp_path / "w.pth")
    load_backbone(frozen, tmp_path / "w.pth")
    assert torch.equal(frozen.backbone.stem.conv1.norm.weight, live.backbone.stem.conv1.norm.weight)


def test_a_pickle_as_detectron2_ships_it(
    tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    model, source = make_model(), make_model()
    for parameter in source.backbone.state_dict().values():
        parameter.mul_(2)
    arrays = {key: tensor.numpy() for key, tensor in source.backbone.state_dict().items()}
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(content, protocol=3))
    load_backbone(model, tmp_path / "R-50.pkl")
    assert same(model.backbone, source.backbone)


def caffe2_key(key: str) -> str:
    """Caffe2's spelling, from our side."""
    key = key.replace("stem.conv1.norm.", "res_conv1_bn_").replace("stem.conv1.", "conv1_")
    key = key.replace("shortcut.", "branch1.").replace("norm.", "bn_").replace("bn_weight", "bn_s")
    for letter, number in zip("abc", "123", strict=True):
        key = re.sub(rf"^(res\d.*)\.conv{number}\.", rf"\1.branch2{letter}.", key)
    return key.replace(".", "_").replace("_weight", "_w").replace("_bn_bias", "_bn_b")


@pytest.mark.parametrize("wrapped", [False, True])
def test_caffe2s_norms_are_scale_and_shift(
    tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool], wrapped: bool
) -> None:
    model, source = make_model(depth=50), make_model(depth=50)
    state = dict(source.backbone.state_dict())
    for key, tensor in state.items():
        tensor.fill_(1) if key.endswith(
            "running_var"
        ) else tensor.zero_() if "running" in key else tensor.add_(1)
    learned = {caffe2_key(key): tensor.numpy() for key, tensor in state.items() if "running" not in key}
    assert {"conv1_w", "res_conv1_bn_s", "res2_0_branch1_bn_b", "res5_2_branch2c_w"} <= set(learned)
    rest = {
        "conv1_b": np.zeros(8, np.float32),
        "fc1000_w": np.zeros((10, 8)),
        "conv1_w_momentum": np.zeros(1),
    }
    content = {**learned, **rest}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": content} if wrapped else content, protocol=2))
    load_backbone(model, tmp_path / "R-50.pkl")
    assert same(model.backbone, source.backbone)


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    """Keys and raw numbers are both byte strings there."""
    dtype = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02t" + dtype
    numbers = np.array([1.5, -200.25], "<f4").tobytes()
    raw = b"\x89U" + bytes([len(numbers)]) + numbers + b"tb"
    (tmp_path / "old.pkl").write_bytes(b"\x80\x02}U\x07conv1_w" + array + raw + b"s.")
    assert read_state(tmp_path / "old.pkl")["conv1_w"].tolist() == [1.5, -200.25]


def test_the_keys_of_a_whole_resnet_50(make_model: Callable[..., Any]) -> None:
    keys = set(make_model(depth=50).backbone.state_dict())
    state = {torchvision_key(key): torch.zeros(1) for key in keys}
    assert {"conv1.weight", "bn1.running_var", "layer4.2.bn3.bias", "layer1.0.downsample.1.weight"} <= set(
        state
    )
    assert set(as_backbone(state)) == keys


def test_another_depth_is_refused_and_changes_nothing(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    model = make_model(depth=18)
    torch.save(as_torchvision(dict(make_model(depth=50).backbone.state_dict())), tmp_path / "w.pth")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"does not fit the backbone \(.*use ImageNet weights of the same network"
    ):
        load_backbone(model, tmp_path / "w.pth")
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in before.items())


def test_a_model_without_a_resnet(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Linear has no backbone"):
        load_backbone(torch.nn.Linear(2, 2), tmp_path / "w.pth")


def test_deformable_stages_begin_with_the_plain_ones_weights(tmp_path: Path) -> None:
    """ImageNet files have no offsets: these stay as they start, everything else is filled."""
    torch.manual_seed(0)
    plain = ResNet(50, width=4, stride_in_1x1=True)
    torch.save(plain.state_dict(), tmp_path / "r50.pth")
    deformable = ResNet(50, width=4, stride_in_1x1=True, deform_stages=(4, 5))
    load_backbone(torch.nn.Sequential(deformable), tmp_path / "r50.pth")
    state = deformable.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in plain.state_dict().items())
    offsets = [tensor for key, tensor in state.items() if ".conv2_offset." in key]
    assert len(offsets) == 2 * (6 + 3) and not any(tensor.any() for tensor in offsets)
