"""Norms and their folding."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pansight.nn.conv import ConvNorm, FrozenBatchNorm2d, make_norm, norm_scale_shift


def stir(norm: nn.Module, seed: int = 0) -> None:
    """Give a norm statistics and factors that do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -1.0, 1.0),
            ("running_mean", -1.0, 1.0),
            ("running_var", 0.01, 2.0),
        ):
            tensor = getattr(norm, name)
            tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))


def test_a_fresh_frozen_norm_is_the_identity_to_the_last_bit() -> None:
    x = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(FrozenBatchNorm2d(5)(x), x)
    # a live one of the same kind is not: its variance starts at 1, not at 1 - eps
    assert not torch.equal(nn.BatchNorm2d(5).eval()(x), x)


def test_frozen_norm_is_its_formula_and_never_changes() -> None:
    norm = FrozenBatchNorm2d(4, eps=1e-3)
    stir(norm)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    x = 3 + torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    norm.train()
    y = norm(x)
    for c in range(4):
        expected = (x[:, c] - before["running_mean"][c]) / (before["running_var"][c] + 1e-3).sqrt()
        expected = expected * before["weight"][c] + before["bias"][c]
        torch.testing.assert_close(y[:, c], expected, rtol=1e-5, atol=1e-5)
    assert list(norm.parameters()) == []
    assert set(before) == {"weight", "bias", "running_mean", "running_var"}
    for key, value in norm.state_dict().items():
        assert torch.equal(value, before[key])


def test_live_norm_learns_and_follows_the_batch_only_in_training() -> None:
    norm = make_norm("batch", 4)
    assert isinstance(norm, nn.BatchNorm2d)
    assert len(list(norm.parameters())) == 2
    x = 3 + torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    norm.train()
    torch.testing.assert_close(norm(x).mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert norm.running_mean is not None
    moved = norm.running_mean.clone()
    assert (moved > 0.1).all()
    norm.eval()(x)
    assert torch.equal(norm.running_mean, moved)


@pytest.mark.parametrize("kind", ["frozen", "batch"])
def test_scale_and_shift_are_the_norm(kind: str) -> None:
    norm = make_norm(kind, 6).eval()  # type: ignore[arg-type]
    stir(norm)
    x = torch.randn(1, 6, 3, 3, generator=torch.Generator().manual_seed(2))
    scale, shift = norm_scale_shift(norm)
    assert scale.dtype == shift.dtype == torch.float64
    line = x.double() * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(norm(x), line.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["frozen", "batch"])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
def test_folding_keeps_the_answer(kind: str, kernel: int, stride: int) -> None:
    conv = ConvNorm(3, 8, kernel, stride=stride, norm=kind, eps=1e-5).eval()  # type: ignore[arg-type]
    stir(conv.norm)
    x = torch.randn(2, 3, 13, 11, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = conv(x)
        assert not torch.allclose(before, F.conv2d(x, conv.weight, None, stride, kernel // 2), atol=0.1)
        conv.fold()
        assert isinstance(conv.norm, nn.Identity)
        after = conv(x)
        conv.fold()
        again = conv(x)
    assert before.shape == (2, 8, -(-13 // stride), -(-11 // stride))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert torch.equal(again, after)


def test_folding_is_exact_where_the_variance_is_tiny() -> None:
    """mean * scale is large there and cancels: done in float64, the error stays that of float32 inputs."""
    conv = ConvNorm(1, 1, 1).eval()
    assert isinstance(conv.norm, FrozenBatchNorm2d)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.norm.running_mean.fill_(100.0)
        conv.norm.running_var.fill_(1e-6)
        x = torch.full((1, 1, 1, 1), 100.0)
        conv.fold()
        # the true answer is 0; scale is 302, so float32 products of 30,000 are good to 0.002
        assert abs(float(conv(x))) < 0.01


def test_keys_are_detectron2s() -> None:
    frozen = set(ConvNorm(3, 4, 3).state_dict())
    assert frozen == {"weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    live = set(ConvNorm(3, 4, 3, norm="batch").state_dict())
    assert live == frozen | {"norm.num_batches_tracked"}
