"""Autocast and half precision: rounding, but nothing out of range and nothing in the wrong place."""

import copy

import pytest
import torch

from pansight.models.yoso import YOSOConfig
from pansight.models.yoso.head import Head, Stage
from pansight.zoo import load_model

SMALL = YOSOConfig(hidden_dim=32, proposals=6, heads=4, feedforward_dim=64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_over_whole_maps_stay_finite(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    stage = Stage(SMALL, classes=5).eval()
    # as large as a map X of 64 x 64 with values about 30: the sum, 122880, is beyond float16
    features = torch.full((1, 32, 64, 64), 30.0).to(dtype)
    queries, masks = torch.randn(1, 6, 32), torch.ones(1, 6, 64, 64, dtype=torch.bool)
    with torch.no_grad():
        expected = stage(features.float(), queries, masks)
        with torch.autocast("cpu", dtype):
            output = stage(features, queries, masks)
    for got, wanted in zip(output, expected, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, wanted.to(got.dtype))
    # masks are made of these two, by losses and merge, which need no autocast
    assert output.kernels.dtype == features.dtype


def test_a_head_trains_under_autocast() -> None:
    torch.manual_seed(0)
    head = Head(SMALL, classes=5)
    features = (torch.randn(1, 32, 16, 24) * 300).requires_grad_()
    with torch.autocast("cpu", torch.float16):
        _, output = head(features)
    output.class_logits.square().mean().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_optimized_model_changes_precision_as_a_whole(dtype: torch.dtype) -> None:
    model = copy.deepcopy(load_model("yoso-tiny")).optimized().to(dtype)
    with torch.inference_mode():
        outputs = model(torch.randn(1, 3, 64, 96).to(dtype))
    assert outputs.class_logits.dtype == dtype
    assert outputs.class_logits.isfinite().all()
