"""The residual networks against their published sizes and a literal transcription."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import ConvNorm
from pansight.nn.resnet import BLOCKS, Depth, ResNet

# torchvision's totals without the classifier: 11.69 M, 21.80 M, 25.56 M and 44.55 M with it
PARAMETERS = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
}
CHANNELS = {
    18: (64, 128, 256, 512),
    34: (64, 128, 256, 512),
    50: (256, 512, 1024, 2048),
    101: (256, 512, 1024, 2048),
}


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_sizes_are_the_papers(depth: Depth) -> None:
    with torch.device("meta"):
        network = ResNet(depth, norm="batch")
        outputs = network(torch.empty(2, 3, 96, 64))
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[depth]
    assert network.channels == CHANNELS[depth]
    for level, stride, output in zip(range(4), (4, 8, 16, 32), outputs, strict=True):
        assert output.shape == (2, CHANNELS[depth][level], 96 // stride, 64 // stride)


def test_frozen_norms_leave_the_convolutions_to_learn() -> None:
    with torch.device("meta"):
        network = ResNet(50)
    assert sum(p.numel() for p in network.parameters()) == 23_454_912
    assert not any("norm" in name for name, _ in network.named_parameters())


@pytest.mark.parametrize(("stride_in_1x1", "strides"), [(False, (1, 2, 1)), (True, (2, 1, 1))])
def test_where_the_stride_sits(stride_in_1x1: bool, strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = ResNet(50, stride_in_1x1=stride_in_1x1)
    for stage in (network.res3, network.res4, network.res5):
        first, second = stage[0], stage[1]
        assert tuple(getattr(first, f"conv{i}").stride[0] for i in (1, 2, 3)) == strides
        assert cast(ConvNorm, first.shortcut).stride == (2, 2)
        assert tuple(getattr(second, f"conv{i}").stride[0] for i in (1, 2, 3)) == (1, 1, 1)
        assert second.shortcut is None
    first = network.res2[0]
    assert cast(ConvNorm, first.shortcut).stride == (1, 1)


def transcribed(network: ResNet, x: Tensor, depth: int, stride_in_1x1: bool) -> list[Tensor]:
    """The network as its state dict and the paper say, without its modules."""
    state = network.state_dict()

    def conv_norm(x: Tensor, key: str, stride: int) -> Tensor:
        weight = state[f"{key}.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        mean, var = state[f"{key}.norm.running_mean"], state[f"{key}.norm.running_var"]
        return F.batch_norm(x, mean, var, state[f"{key}.norm.weight"], state[f"{key}.norm.bias"], eps=1e-5)

    x = F.max_pool2d(F.relu(conv_norm(x, "stem.conv1", 2)), 3, 2, 1)
    outputs = []
    for stage in range(4):
        for block in range(BLOCKS[depth][stage]):
            key = f"res{stage + 2}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            has_shortcut = f"{key}.shortcut.weight" in state
            residual = conv_norm(x, f"{key}.shortcut", stride) if has_shortcut else x
            if depth < 50:
                y = F.relu(conv_norm(x, f"{key}.conv1", stride))
                y = conv_norm(y, f"{key}.conv2", 1)
            else:
                y = F.relu(conv_norm(x, f"{key}.conv1", stride if stride_in_1x1 else 1))
                y = F.relu(conv_norm(y, f"{key}.conv2", 1 if stride_in_1x1 else stride))
                y = conv_norm(y, f"{key}.conv3", 1)
            x = F.relu(y + residual)
        outputs.append(x)
    return outputs


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_equals_a_transcription(depth: Depth, stride_in_1x1: bool) -> None:
    torch.manual_seed(depth)
    network = ResNet(depth, width=8, stride_in_1x1=stride_in_1x1).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm):
            for name in ("bias", "running_mean"):
                getattr(module.norm, name).uniform_(-0.2, 0.2)
            for name in ("weight", "running_var"):
                getattr(module.norm, name).uniform_(0.6, 1.4)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        outputs = network(x)
        for got, expected in zip(outputs, transcribed(network, x, depth, stride_in_1x1), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_the_stride_changes_the_answer_but_not_the_parameters() -> None:
    torch.manual_seed(0)
    ours = ResNet(50, width=8).eval()
    msra = ResNet(50, width=8, stride_in_1x1=True).eval()
    msra.load_state_dict(ours.state_dict())
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        assert torch.equal(ours(x).res2, msra(x).res2)
        assert not torch.allclose(ours(x).res3, msra(x).res3)


def test_eps_reaches_every_norm() -> None:
    with torch.device("meta"):
        network = ResNet(18, norm="batch", eps=1e-3)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert all(norm.eps == 1e-3 for norm in norms)


@pytest.mark.parametrize("size", [(33, 65), (1, 1), (31, 100)])
def test_any_size_goes_through(size: tuple[int, int]) -> None:
    network = ResNet(18, width=4).eval()
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, *size))
    expected = size
    for step, output in enumerate((None, *outputs)):
        # the stem halves twice, each later stage once, rounding up
        for _ in range(0 if step == 0 else 2 if step == 1 else 1):
            expected = (-(-expected[0] // 2), -(-expected[1] // 2))
        if output is not None:
            assert output.shape[2:] == expected
