"""Deformable sampling in half precision reads where it should: positions need more digits than values."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch

from pansight.nn.deform import ModulatedDeformConv2d


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("grad", [torch.no_grad, torch.enable_grad])  # both forms
@pytest.mark.parametrize("autocast", [True, False])
def test_far_from_the_origin(
    dtype: torch.dtype, grad: Callable[[], AbstractContextManager[None]], autocast: bool
) -> None:
    torch.manual_seed(0)
    convolution = ModulatedDeformConv2d(4, 4)
    x = torch.randn(1, 4, 6, 300).to(dtype)
    offsets, mask = torch.randn(1, 18, 6, 300).to(dtype), torch.rand(1, 9, 6, 300).to(dtype)
    with grad():
        exact = convolution(x.float(), offsets.float(), mask.float())
        with torch.autocast("cpu", dtype, enabled=autocast):
            got = (convolution if autocast else convolution.to(dtype))(x, offsets, mask)
    # rounding of values and weights alone; positions of this precision would make it 0.5 for bfloat16
    error = (got.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert error < 4 * torch.finfo(dtype).eps
