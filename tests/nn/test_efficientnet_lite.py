"""EfficientNet-Lite against the golden file, its padding, its size, and what is folded."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pansight.bench.flops import measure_flops
from pansight.nn.backbone_names import backbone_names
from pansight.nn.backbones import make_backbone
from pansight.nn.conv import ConvNorm
from pansight.nn.efficientnet_lite import EfficientNetLite, from_released, same_padding
from pansight.nn.features import Backbone
from pansight.zoo.backbone import imagenet_weights
from pansight.zoo.official import read_state


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    """The released state dict, from the package that the extra `dev` brings."""
    return read_state(imagenet_weights("efficientnet-lite0"))


def golden_images(shared_data: Path) -> ModuleType:
    """The maker of the golden file's images, which lies beside it."""
    spec = importlib.util.spec_from_file_location("golden_weights", shared_data / "golden" / "weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden_weights"] = module
    spec.loader.exec_module(module)
    return module


def logits(state: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """The classifier behind the last block, which dense heads do without."""
    x = F.conv2d(features, state["_conv_head.weight"].to(features.dtype))
    mean, variance, weight, bias = (
        state[f"_bn1.{name}"].to(x.dtype) for name in ("running_mean", "running_var", "weight", "bias")
    )
    x = F.relu6(F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)).mean((2, 3))
    return F.linear(x, state["_fc.weight"].to(x.dtype), state["_fc.bias"].to(x.dtype))


def check(found: torch.Tensor, wanted: dict[str, Any], tolerance: float) -> None:
    assert list(found.shape) == wanted["shape"]
    values = found.double()
    rms = wanted["rms"]
    assert abs(float(values.mean()) - wanted["mean"]) <= tolerance * rms
    assert abs(float(values.std(correction=0)) - wanted["std"]) <= tolerance * rms
    samples = values.flatten()[wanted["sample_index"]]
    assert (samples - torch.tensor(wanted["samples"], dtype=torch.float64)).abs().max() <= tolerance * rms
    first = values.flatten()[:8]
    assert (first - torch.tensor(wanted["first8"], dtype=torch.float64)).abs().max() <= tolerance * rms


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_golden_values(shared_data: Path, released: dict[str, torch.Tensor], precision: str) -> None:
    """1e-9 of the rms in double precision, 1e-5 in single; odd sizes, too."""
    maker = golden_images(shared_data)
    golden = json.loads((shared_data / "golden" / "efficientnet_lite0.json").read_text())
    dtype = getattr(torch, precision)
    network = EfficientNetLite(norm="batch", raw=True).eval()
    network.load_state_dict(from_released(released))
    network.to(dtype)
    tolerance = 1e-9 if precision == "float64" else 1e-5
    for case in golden["cases"]:
        image = maker.image(f"efficientnet_lite0/{case['name']}", case["height"], case["width"], case["seed"])
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)
        with torch.inference_mode():
            features = network((pixels - 127) / 128)
            classes = logits(released, features.res5)
        for stride, feature in zip((4, 8, 16, 32), features, strict=True):
            check(feature, case[f"stride_{stride}"], tolerance)
        check(classes, case["logits"], tolerance)


@pytest.mark.parametrize("side", [1, 2, 7, 224, 225])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_halves_upwards(side: int, kernel: int) -> None:
    before, after = same_padding(side, kernel, 2)
    assert (side + before + after - kernel) // 2 + 1 == -(-side // 2)
    assert 0 <= after - before <= 1


def test_size_and_operations() -> None:
    network = EfficientNetLite()
    # the fact sheet counts norms, whose factors are buffers where they are frozen
    learned = EfficientNetLite(norm="batch")
    assert sum(p.numel() for p in learned.parameters()) == 2_958_848
    assert len(network.blocks) == 16 and network.channels == (24, 40, 112, 320)
    count = measure_flops(network, torch.randn(1, 3, 224, 224))
    assert round(count.multiply_adds / 1e6, 1) == 363.8


@pytest.mark.parametrize(
    ("name", "blocks", "channels"),
    [("efficientnet_lite1", 21, (24, 40, 112, 320)), ("efficientnet_lite2", 21, (24, 48, 120, 352))],
)
def test_larger_ones(name: str, blocks: int, channels: tuple[int, ...]) -> None:
    network = EfficientNetLite(name)
    assert len(network.blocks) == blocks
    assert network.channels == channels


def test_folding_and_training_change_nothing_but_rounding(released: dict[str, torch.Tensor]) -> None:
    """With frozen norms, evaluation, training and the folded network are one function."""
    network = EfficientNetLite()
    state = {k: v for k, v in from_released(released).items() if not k.endswith("num_batches_tracked")}
    network.load_state_dict(state)
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain = network.eval()(images)
        trained = network.train()(images)
        for module in network.eval().modules():
            if isinstance(module, ConvNorm):
                module.fold()
        folded = network(images)
    for a, b, c in zip(plain, trained, folded, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", backbone_names())
def test_the_contract(name: str) -> None:
    """Four maps of the stated channels and strides, whatever the size; parts cover all that learns."""
    network = make_backbone(name, depth=18, width=8)
    assert isinstance(network, Backbone)
    if name in ("resnet50", "resnet101", "efficientnet_lite1"):
        return  # like their neighbours, and slow
    with torch.inference_mode():
        maps = network.eval()(torch.randn(1, 3, 64, 96))
    for feature, channels, stride in zip(maps, network.channels, network.strides, strict=True):
        assert feature.shape == (1, channels, 64 // stride, 96 // stride)
    parts = network.parts()
    inside = {id(p) for part in parts for p in part.parameters()}
    assert inside == {id(p) for p in network.parameters()}
    network.freeze(2)
    assert not any(p.requires_grad for part in parts[:2] for p in part.parameters())
    assert all(p.requires_grad for part in parts[2:] for p in part.parameters())


def test_unknown_names_and_impossible_wishes() -> None:
    with pytest.raises(ValueError, match="no backbone 'vgg'"):
        make_backbone("vgg")
    with pytest.raises(ValueError, match="deformable"):
        make_backbone("efficientnet_lite0", deform_stages=(3,))
