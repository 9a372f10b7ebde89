"""MobileNetV2 under torchvision's keys, and networks of timm behind the contract."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pansight.nn.backbones import is_backbone, make_backbone
from pansight.nn.mobilenet_v2 import MobileNetV2, from_torchvision


def torchvision_keys() -> dict[str, Tensor]:
    """A state dict with torchvision's names, written down from its module tree, shapes from Table 2."""

    def norm(name: str, channels: int) -> dict[str, Tensor]:
        values = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
        found = {f"{name}.{key}": torch.full((channels,), value) for key, value in values.items()}
        return {**found, f"{name}.num_batches_tracked": torch.tensor(0)}

    state = {"features.0.0.weight": torch.zeros(32, 3, 3, 3), **norm("features.0.1", 32)}
    state |= {"features.1.conv.0.0.weight": torch.zeros(32, 1, 3, 3), **norm("features.1.conv.0.1", 32)}
    state |= {"features.1.conv.1.weight": torch.zeros(16, 32, 1, 1), **norm("features.1.conv.2", 16)}
    place, channels = 2, 16
    table = ((24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))
    for out, blocks in table:
        for _ in range(blocks):
            middle, name = 6 * channels, f"features.{place}.conv"
            state |= {
                f"{name}.0.0.weight": torch.zeros(middle, channels, 1, 1),
                **norm(f"{name}.0.1", middle),
            }
            state |= {f"{name}.1.0.weight": torch.zeros(middle, 1, 3, 3), **norm(f"{name}.1.1", middle)}
            state |= {f"{name}.2.weight": torch.zeros(out, middle, 1, 1), **norm(f"{name}.3", out)}
            place, channels = place + 1, out
    state |= {"features.18.0.weight": torch.zeros(1280, 320, 1, 1), **norm("features.18.1", 1280)}
    return {**state, "classifier.1.weight": torch.zeros(1000, 1280), "classifier.1.bias": torch.zeros(1000)}


def test_mobilenet_takes_torchvisions_weights() -> None:
    network = MobileNetV2(norm="batch")
    assert not any(network.load_state_dict(from_torchvision(torchvision_keys())))
    # torchvision counts 3,504,872 with head and classifier
    classifier = 1280 * 320 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in network.parameters()) == 3_504_872 - classifier
    assert network.channels == (24, 32, 96, 320)


class _Network(nn.ModuleDict):
    """What timm's features_only gives: children by name, some of which are returned."""

    def __init__(self, reductions: tuple[int, ...]) -> None:
        layers = {"conv_stem": nn.Conv2d(3, 4, 3, 2, 1), "bn1": nn.BatchNorm2d(4)}
        self.names = []
        for index, reduction in enumerate(reductions):
            name = f"blocks_{index}"
            layers[name] = nn.Conv2d(4, 4, 3, 1 if reduction == 2 else 2, 1)
            self.names.append(name)
        super().__init__(layers)
        self.return_layers = {name: str(i) for i, name in enumerate(self.names)}
        self.feature_info = SimpleNamespace(
            reduction=lambda: list(reductions), channels=lambda: [4] * len(reductions)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self["bn1"](self["conv_stem"](x))
        found = []
        for name in self.names:
            x = self[name](x)
            found.append(x)
        return found


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The two functions of timm that are used, and networks of the same make: timm needs torchvision."""
    module: Any = ModuleType("timm")
    module.list_models = lambda: ["little", "shallow"]
    module.get_pretrained_cfg = lambda name: SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

    def create_model(name: str, *, pretrained: bool, features_only: bool) -> nn.Module:
        assert features_only and not pretrained
        return _Network((2, 4, 8, 16, 32) if name == "little" else (2, 4, 8))

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    monkeypatch.setattr("pansight.nn.timm_features.require_extra", lambda *names: None)
    return module


def test_timm_behind_the_contract(timm: ModuleType) -> None:
    network = make_backbone("timm:little").train()
    maps = network(torch.randn(2, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(2, 4, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    assert network.input_scale.mean == (127.5, 127.5, 127.5)
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert norms and not any(one.training or one.weight.requires_grad for one in norms)
    assert make_backbone("timm:little", norm="batch").train().training
    inside = {id(p) for part in network.parts() for p in part.parameters()}
    assert inside == {id(p) for p in network.parameters()} and len(network.parts()) == 5


def test_timm_names_that_cannot_serve(timm: ModuleType) -> None:
    with pytest.raises(ValueError, match="timm has no network 'nothing'"):
        make_backbone("timm:nothing")
    with pytest.raises(ValueError, match="no features at stride 16"):
        make_backbone("timm:shallow")
    assert is_backbone("timm:little") and not is_backbone("timm:") and not is_backbone("vgg")
