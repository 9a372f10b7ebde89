"""What the encoder reads, and convolutions that remember what coordinates contribute."""

import pytest
import torch

from pansight.models.panoptic_fcn.blocks import KEPT_PLANES, PlaneConv
from pansight.models.panoptic_fcn.features import summed


def test_summed_levels_by_hand() -> None:
    """Two cells become four: each end keeps its value, between them lie a quarter and three quarters."""
    fine = torch.tensor([[100.0, 200.0, 300.0, 400.0], [500.0, 600.0, 700.0, 800.0]])
    coarse = torch.tensor([[0.0, 4.0]])
    wanted = torch.tensor([[100.0, 201.0, 303.0, 404.0], [500.0, 601.0, 703.0, 804.0]])
    assert torch.equal(summed((fine[None, None], coarse[None, None])), wanted[None, None])


def test_planes_are_remembered_for_a_few_sizes() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(6, 5, 3, padding=1)
    plane = PlaneConv(convolution)
    for _ in range(2):
        for side in range(1, 2 * KEPT_PLANES):
            x = torch.randn(2, 4, side, 3)
            y = torch.linspace(-1, 1, side)[:, None].expand(side, 3)
            across = torch.linspace(-1, 1, 3).expand(side, 3)
            whole = torch.cat((x, torch.stack((y, across)).expand(2, -1, -1, -1)), dim=1)
            torch.testing.assert_close(plane(x), convolution(whole), rtol=1e-4, atol=1e-5)
            assert len(plane._known) <= KEPT_PLANES
    half = plane.double()
    assert half(torch.randn(1, 4, 1, 3).double()).dtype == torch.float64


@pytest.mark.parametrize("bias", [True, False])
def test_planes_know_nothing_of_autocast(bias: bool) -> None:
    """What is remembered in half precision would otherwise serve whoever comes next."""
    torch.manual_seed(0)
    plane = PlaneConv(torch.nn.Conv2d(6, 5, 3, padding=1, bias=bias))
    x = torch.randn(2, 4, 7, 9)
    fresh = plane(x)
    plane._known = {}
    with torch.autocast("cpu", torch.bfloat16):
        halves = [plane(x), plane(x.bfloat16())]
    assert len(plane._known) == 1
    assert torch.equal(plane(x), fresh)
    for half in halves:
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), fresh, rtol=0.02, atol=0.02)
