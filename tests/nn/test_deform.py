"""Deformable convolution against a transcription with loops, in both of its forms."""

import math
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.nn import deform
from pansight.nn.deform import Lowering, ModulatedDeformConv2d, lower_deformable


def literal(x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Pixel by pixel, tap by tap, corner by corner."""
    batch, channels, height, width = x.shape
    kernel = weight.shape[-1]
    out = torch.zeros(batch, weight.shape[0], height, width, dtype=x.dtype)
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                for i in range(kernel):
                    for j in range(kernel):
                        tap = i * kernel + j
                        y = row + i - kernel // 2 + float(offsets[b, 2 * tap, row, column])
                        x_ = column + j - kernel // 2 + float(offsets[b, 2 * tap + 1, row, column])
                        value = torch.zeros(channels, dtype=x.dtype)
                        for y_near in (math.floor(y), math.floor(y) + 1):
                            for x_near in (math.floor(x_), math.floor(x_) + 1):
                                if 0 <= y_near < height and 0 <= x_near < width:
                                    share = (1 - abs(y - y_near)) * (1 - abs(x_ - x_near))
                                    value += share * x[b, :, y_near, x_near]
                        out[b, :, row, column] += weight[:, :, i, j] @ value * mask[b, tap, row, column]
    return out


def example(
    reach: float, seed: int = 0, kernel: int = 3, size: tuple[int, int] = (5, 7)
) -> tuple[ModulatedDeformConv2d, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    layer = ModulatedDeformConv2d(3, 4, kernel)
    x = torch.randn(2, 3, *size)
    offsets = reach * (2 * torch.rand(2, 2 * kernel**2, *size) - 1)
    return layer, x, offsets, torch.rand(2, kernel**2, *size)


# what the layer does with gradients (grid_sample) and, on a CPU, without (embedding_bag)
FORMS = pytest.mark.parametrize("grad", [True, False], ids=["grid", "table"])


@FORMS
@pytest.mark.parametrize("reach", [0.4, 2.0, 9.0], ids=["inside", "borders", "far outside"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_equals_the_loops(grad: bool, reach: float, kernel: int) -> None:
    layer, x, offsets, mask = example(reach, kernel=kernel)
    with torch.set_grad_enabled(grad):
        got = layer(x, offsets, mask)
    assert got.requires_grad == grad
    expected = literal(x, offsets, mask, layer.weight.detach())
    torch.testing.assert_close(got.detach(), expected, rtol=1e-4, atol=1e-5)


@FORMS
@pytest.mark.parametrize("shift", [(-1.0, 0.0), (0.0, 2.0), (0.5, 0.0), (-0.5, 1.5), (-7.0, 0.0), (5.0, 7.0)])
def test_whole_and_half_steps_at_every_border(grad: bool, shift: tuple[float, float]) -> None:
    """One shift for all taps: whole numbers land on pixels and on the border itself."""
    layer, x, offsets, mask = example(0.0)
    offsets[:, 0::2], offsets[:, 1::2] = shift
    with torch.set_grad_enabled(grad):
        got = layer(x, offsets, mask)
    expected = literal(x, offsets, mask, layer.weight.detach())
    torch.testing.assert_close(got.detach(), expected, rtol=1e-4, atol=1e-5)


@FORMS
def test_without_offsets_it_is_a_convolution(grad: bool) -> None:
    layer, x, offsets, mask = example(0.0)
    with torch.set_grad_enabled(grad):
        got = layer(x, offsets, torch.full_like(mask, 0.25))
    torch.testing.assert_close(got.detach(), F.conv2d(x, 0.25 * layer.weight.detach(), padding=1))


def test_offsets_are_dy_then_dx() -> None:
    layer, x, offsets, mask = example(0.0)
    down = offsets.clone()
    down[:, 0::2] = 1
    with torch.no_grad():
        plain = layer(F.pad(x, (0, 0, 0, 1))[:, :, 1:], offsets, torch.ones_like(mask))
        moved = layer(x, down, torch.ones_like(mask))
    # away from the top, where the moved rows have real neighbours
    torch.testing.assert_close(moved[:, :, 1:], plain[:, :, 1:])


@pytest.mark.parametrize("lowering", ["grid", "gather"])
@pytest.mark.parametrize("reach", [0.4, 2.0, 9.0], ids=["inside", "borders", "far outside"])
def test_the_forms_that_graphs_ask_for_equal_the_loops(lowering: Lowering, reach: float) -> None:
    layer, x, offsets, mask = example(reach)
    layer.bias = torch.nn.Parameter(torch.arange(4.0))
    lower_deformable(layer, lowering)
    with torch.no_grad():
        got = layer(x, offsets, mask)
    expected = literal(x, offsets, mask, layer.weight.detach()) + torch.arange(4.0)[:, None, None]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@FORMS
@pytest.mark.parametrize("limit", [1, 500, 2500, 10**9])
def test_done_in_turns_it_is_the_same(grad: bool, limit: int) -> None:
    layer, x, offsets, mask = example(2.0, size=(13, 9))
    with torch.set_grad_enabled(grad):
        whole = layer(x, offsets, mask)
        with mock.patch.object(deform, "COLUMN_LIMIT", limit):
            turns = layer(x, offsets, mask)
    torch.testing.assert_close(turns, whole, rtol=1e-5, atol=1e-6)


def test_gradients_in_double_precision() -> None:
    layer, x, offsets, mask = example(1.7, size=(3, 4))
    layer = layer.double()
    # keep reads off whole positions, where bilinear reading has a kink
    offsets = torch.where((offsets - offsets.round()).abs() < 0.05, offsets + 0.1, offsets)
    arguments = [t.double().requires_grad_() for t in (x, offsets, mask)]
    assert torch.autograd.gradcheck(layer, arguments, eps=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(layer(*arguments).square().sum(), layer.weight)
    # the weight's gradient: one entry by finite differences
    base = layer.weight.detach().clone()
    step = torch.zeros_like(base)
    step[1, 2, 0, 1] = 1e-5
    with torch.no_grad():
        layer.weight.copy_(base + step)
        above = layer(*arguments).square().sum()
        layer.weight.copy_(base - step)
        below = layer(*arguments).square().sum()
    slope = float((above - below) / 2e-5)
    assert float(gradient[1, 2, 0, 1]) == pytest.approx(slope, rel=1e-6)


def test_a_packed_layer_gives_the_same() -> None:
    layer, x, offsets, mask = example(2.0)
    with torch.no_grad():
        before = layer(x, offsets, mask)
        layer.pack()
        assert torch.equal(layer(x, offsets, mask), before)


@FORMS
def test_bias_is_added_once(grad: bool) -> None:
    layer, x, offsets, mask = example(1.0)
    biased = ModulatedDeformConv2d(3, 4, bias=True)
    assert biased.bias is not None
    with torch.no_grad():
        biased.weight.copy_(layer.weight)
        biased.bias.copy_(torch.arange(4.0))
    with torch.set_grad_enabled(grad):
        difference = biased(x, offsets, mask) - layer(x, offsets, mask)
    expected = torch.arange(4.0)[:, None, None].expand_as(difference)
    torch.testing.assert_close(difference.detach(), expected, rtol=1e-5, atol=1e-5)


@FORMS
def test_layouts_of_the_input_do_not_matter(grad: bool) -> None:
    layer, x, offsets, mask = example(2.0)
    with torch.set_grad_enabled(grad):
        plain = layer(x, offsets, mask)
        last = layer(*(t.contiguous(memory_format=torch.channels_last) for t in (x, offsets, mask)))
    torch.testing.assert_close(last, plain, rtol=1e-5, atol=1e-6)
