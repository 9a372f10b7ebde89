"""The five attention variants against loops that follow the fact sheet's formulas."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.yoso.attention import make_attention

NAMES = ["mhca", "dca", "sdca", "pdca", "ddca"]


def convolved(row: Tensor, kernel: Tensor) -> Tensor:
    """1-D cross-correlation, zero padding, same length; even kernels reach further to the right."""
    taps, out = len(kernel), torch.zeros_like(row)
    for c in range(len(row)):
        for j in range(taps):
            at = c + j - (taps - 1) // 2
            if 0 <= at < len(row):
                out[c] += kernel[j] * row[at]
    return out


def literal(name: str, module: nn.Module, query: Tensor, value: Tensor, kernel: int, heads: int) -> Tensor:
    """One sample [n d] at a time, one row at a time."""
    count, dim = value.shape
    norm = module.get_submodule("f_norm" if name in ("mhca", "dca") else "norm")
    if name == "mhca":
        weight, bias = (
            module.get_parameter("atten.in_proj_weight"),
            module.get_parameter("atten.in_proj_bias"),
        )
        q, k, v = (
            F.linear(x, w, b)
            for x, w, b in zip((query, value, value), weight.chunk(3), bias.chunk(3), strict=True)
        )
        size = dim // heads
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            attention = (q[:, own] @ k[:, own].T / size**0.5).softmax(-1)
            parts.append(attention @ v[:, own])
        return cast(Tensor, norm(module.get_submodule("atten.out_proj")(torch.cat(parts, dim=1))))
    linear = module.get_submodule("f_linear" if name == "dca" else "weight_linear")
    weights = linear(query)
    out = torch.zeros_like(value)
    if name == "dca":
        kernels = weights.view(count, count, kernel)
        for n in range(count):
            for m in range(count):
                out[n] += convolved(value[m], kernels[n, m])
    elif name == "ddca":
        for n in range(count):
            out[n] = convolved(value[n], weights[n])
    elif name == "pdca":
        for n in range(count):
            for m in range(count):
                out[n] += weights[n, m] * value[m]
    else:
        hidden = torch.stack([convolved(value[n], weights[n, :kernel]).relu() for n in range(count)])
        for n in range(count):
            for m in range(count):
                out[n] += weights[n, kernel + m] * hidden[m]
    return cast(Tensor, norm(out))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_equals_the_loops(name: str, kernel: int) -> None:
    torch.manual_seed(kernel)
    count, dim, heads = 6, 8, 2
    module = make_attention(name, dim, count, kernel, heads)  # type: ignore[arg-type]
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    query, value = torch.randn(3, count, dim), torch.randn(3, count, dim)
    with torch.no_grad():
        got = module(query, value)
        for sample in range(3):
            expected = literal(name, module, query[sample], value[sample], kernel, heads)
            torch.testing.assert_close(got[sample], expected, rtol=1e-4, atol=1e-4)


KEYS = {
    "mhca": {
        "atten.in_proj_weight": (48, 16),
        "atten.in_proj_bias": (48,),
        "atten.out_proj.weight": (16, 16),
        "atten.out_proj.bias": (16,),
        "f_norm.weight": (16,),
        "f_norm.bias": (16,),
    },
    "dca": {
        "f_linear.weight": (21, 16),
        "f_linear.bias": (21,),
        "f_norm.weight": (16,),
        "f_norm.bias": (16,),
    },
    "sdca": {
        "weight_linear.weight": (10, 16),
        "weight_linear.bias": (10,),
        "norm.weight": (16,),
        "norm.bias": (16,),
    },
    "pdca": {
        "weight_linear.weight": (7, 16),
        "weight_linear.bias": (7,),
        "norm.weight": (16,),
        "norm.bias": (16,),
    },
    "ddca": {
        "weight_linear.weight": (3, 16),
        "weight_linear.bias": (3,),
        "norm.weight": (16,),
        "norm.bias": (16,),
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_released_ones(name: str) -> None:
    state = make_attention(name, 16, 7, 3, 2).state_dict()  # type: ignore[arg-type]
    assert {key: tuple(value.shape) for key, value in state.items()} == KEYS[name]


def test_only_cross_attention_takes_any_number_of_rows() -> None:
    rows = torch.randn(1, 9, 16)
    assert make_attention("mhca", 16, 7, 3, 2)(rows, rows).shape == (1, 9, 16)
    for name in ("dca", "sdca", "pdca"):
        with pytest.raises(RuntimeError):
            make_attention(name, 16, 7, 3, 2)(rows, rows)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_query_and_value(name: str) -> None:
    torch.manual_seed(0)
    module = make_attention(name, 8, 4, 3, 2).double()  # type: ignore[arg-type]
    query, value = (torch.randn(1, 4, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(module, (query, value), atol=1e-4)
