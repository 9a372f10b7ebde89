"""The separable dynamic decoder."""

import math
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.yoso import YOSOConfig
from pansight.models.yoso.head import Head, Stage, apply_kernels, class_scores


def stirred(head: Head, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    return head.eval()


def test_one_stage_follows_the_fact_sheet(small_config: Callable[..., YOSOConfig]) -> None:
    """Section 4, line by line: what is summed, what the residuals are, where the temperature goes."""
    config = small_config(stages=1, temperature=0.5)
    head = stirred(Head(config, classes=4))
    stage = cast(Stage, head.mask_heads[0])
    x = torch.randn(2, 16, 5, 6)
    with torch.no_grad():
        (first,), last = head(x)
        m0 = torch.einsum("nd,bdhw->bnhw", head.kernels.weight[:, :, 0, 0], x)
        m0 = m0 + cast(Tensor, head.kernels.bias)[:, None, None]
        k = head.kernels.weight[:, :, 0, 0].expand(2, -1, -1)
        s = (m0.sigmoid() > 0.5).float()
        f = torch.einsum("bnhw,bdhw->bnd", s, x)
        f = stage.f_atten_norm(f + stage.f_atten(k, f))
        k = stage.k_atten_norm(f + stage.k_atten(k, f))
        k = stage.s_atten_norm(k + stage.s_atten(k, k, k)[0])
        inner = stage.ffn.layers
        o = stage.ffn_norm(k + inner[1](F.relu(cast(nn.Sequential, inner[0])[0](k))))
        class_logits = stage.fc_cls(stage.cls_fcs(o)) / 0.5
        kernels = stage.fc_mask(stage.mask_fcs(o))
    assert first.class_logits is None
    torch.testing.assert_close(first.mask_logits, m0, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last.class_logits, class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last.kernels, kernels, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last.queries, o, rtol=1e-4, atol=1e-4)
    masks = torch.einsum("bnd,bdhw->bnhw", kernels, x)
    torch.testing.assert_close(apply_kernels(last.kernels, x), masks, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("attention", ["mhca", "dca", "sdca", "pdca", "ddca"])
def test_any_number_of_stages(small_config: Callable[..., YOSOConfig], stages: int, attention: str) -> None:
    head = stirred(Head(small_config(stages=stages, attention=attention), classes=4))
    with torch.no_grad():
        earlier, last = head(torch.randn(2, 16, 4, 4))
    assert len(earlier) == stages
    assert [e.class_logits is None for e in earlier] == [True] + [False] * (stages - 1)
    for prediction in earlier:
        assert prediction.mask_logits.shape == (2, 7, 4, 4)
        assert prediction.class_logits is None or prediction.class_logits.shape == (2, 7, 5)
    assert last.class_logits.shape == (2, 7, 5)
    assert last.kernels.shape == (2, 7, 16)


@pytest.mark.parametrize("proposals", [1, 2, 150])
def test_any_number_of_proposals(small_config: Callable[..., YOSOConfig], proposals: int) -> None:
    head = stirred(Head(small_config(proposals=proposals), classes=4))
    with torch.no_grad():
        _, last = head(torch.randn(1, 16, 4, 4))
    assert last.class_logits.shape == (1, proposals, 5)


def test_layers_before_the_answers(small_config: Callable[..., YOSOConfig]) -> None:
    keys = Head(small_config(class_layers=3, mask_layers=0, stages=1), classes=4).state_dict()
    linear = {key for key in keys if "cls_fcs" in key}
    assert linear == {f"mask_heads.0.cls_fcs.{i}.weight" for i in (0, 1, 3, 4, 6, 7)} | {
        f"mask_heads.0.cls_fcs.{i}.bias" for i in (1, 4, 7)
    }
    assert not any("mask_fcs" in key for key in keys)


def test_a_later_stage_refines_the_queries_of_the_one_before(small_config: Callable[..., YOSOConfig]) -> None:
    head = stirred(Head(small_config(stages=2), classes=4))
    x = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        earlier, last = head(x)
        first, second = (cast(Stage, stage) for stage in head.mask_heads)
        queries = head.kernels.weight.flatten(1)[None]
        one = first(x, queries, earlier[0].mask_logits > 0)
        two = second(x, one.queries, apply_kernels(one.kernels, x) > 0)
    torch.testing.assert_close(earlier[1].mask_logits, apply_kernels(one.kernels, x))
    torch.testing.assert_close(cast(Tensor, earlier[1].class_logits), one.class_logits)
    torch.testing.assert_close(last.class_logits, two.class_logits)


def test_forced_masks_replace_the_thresholded_ones(small_config: Callable[..., YOSOConfig]) -> None:
    head = stirred(Head(small_config(stages=2), classes=4))
    x = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        earlier, last = head(x)
        own = [prediction.mask_logits > 0 for prediction in earlier]
        _, same = head(x, own)
        _, other = head(x, [~own[0], own[1]])
    assert torch.equal(same.class_logits, last.class_logits)
    assert not torch.allclose(other.class_logits, last.class_logits)


def test_thresholds_let_no_gradient_through_but_everything_else_does(
    small_config: Callable[..., YOSOConfig],
) -> None:
    head = stirred(Head(small_config(stages=2), classes=4))
    x = torch.randn(1, 16, 4, 4, requires_grad=True)
    _, last = head(x)
    bias = cast(Tensor, head.kernels.bias)
    wanted = [x, head.kernels.weight, bias, *head.mask_heads[0].parameters()]
    gradients = torch.autograd.grad(last.kernels.square().sum(), wanted, allow_unused=True)
    names = ["x", "kernels", "bias", *(name for name, _ in head.mask_heads[0].named_parameters())]
    felt = zip(names, gradients, strict=True)
    reached = {name for name, gradient in felt if gradient is not None and gradient.any()}
    assert {"x", "kernels"} <= reached
    # the bias acts on the first masks alone, and these are thresholded
    assert "bias" not in reached
    assert "f_atten.weight_linear.weight" in reached
    assert "ffn.layers.1.weight" in reached
    # the first refinement's own answers end in its threshold too
    assert "fc_mask.weight" not in reached
    assert "fc_cls.weight" not in reached


def test_a_deferred_projection_gives_the_same_answers(small_config: Callable[..., YOSOConfig]) -> None:
    head = stirred(Head(small_config(stages=2), classes=4))
    raw = torch.randn(2, 9, 4, 4)
    raw[:, -1] = 1.0
    matrix = torch.randn(16, 9)
    with torch.no_grad():
        x = torch.einsum("de,behw->bdhw", matrix, raw)
        earlier, last = head(x)
        hard = [prediction.mask_logits > 0 for prediction in earlier]
        head.deferred = matrix
        earlier_raw, last_raw = head(raw, hard)
    for one, other in zip(earlier, earlier_raw, strict=True):
        torch.testing.assert_close(other.mask_logits, one.mask_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(last_raw.class_logits, last.class_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        apply_kernels(last_raw.kernels, raw), apply_kernels(last.kernels, x), rtol=1e-3, atol=1e-3
    )
    assert "deferred" not in head.state_dict()


def test_initial_values_are_as_released() -> None:
    torch.manual_seed(0)
    head = Head(YOSOConfig(), classes=133)
    stage = cast(Stage, head.mask_heads[1])
    assert cast(Tensor, stage.fc_cls.bias).tolist() == pytest.approx([-math.log(99)] * 134)
    for name in ("fc_mask", "fc_cls", "f_atten.weight_linear", "s_atten.out_proj", "ffn.layers.1"):
        linear = cast(nn.Linear, stage.get_submodule(name))
        assert float(linear.weight.detach().std()) == pytest.approx(0.02, rel=0.03)
    assert float(stage.s_atten.in_proj_weight.detach().abs().max()) <= (6 / (256 + 768)) ** 0.5
    assert head.criterion.empty_weight.tolist() == pytest.approx([1.0] * 133 + [0.1])
    assert sum(p.numel() for p in head.parameters()) == 3_230_476


def test_class_scores_see_no_object_too() -> None:
    logits = torch.tensor([[[0.0, 2.0, 1.0], [0.0, 0.0, 5.0]]])
    scores, classes = class_scores(logits)
    assert classes.tolist() == [[1, 2]]
    expected = [math.exp(2) / (1 + math.exp(1) + math.exp(2)), math.exp(5) / (2 + math.exp(5))]
    assert scores[0].tolist() == pytest.approx(expected, rel=1e-5)
