"""The counter, the poster's Tables 5 and 6 from our own modules, and the whole network by part."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pansight.bench.flops import FlopCount, count_flops, measure_flops
from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.models.yoso.attention import ATTENTIONS
from pansight.models.yoso.neck import FeaturePyramidAggregator, Laterals
from pansight.nn.deform import ModulatedDeformConv2d


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (nn.Conv2d(6, 8, 3, padding=1), [(2, 6, 5, 7)], 2 * 8 * 5 * 7 * 6 * 9),
        (nn.Conv2d(6, 8, 3, stride=2, groups=2), [(1, 6, 9, 9)], 8 * 4 * 4 * 3 * 9),
        (nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1), [(1, 6, 5, 7)], 6 * 5 * 7 * 8 * 16),
        (nn.Linear(5, 3), [(2, 4, 5)], 2 * 4 * 5 * 3),
        (nn.Linear(5, 3, bias=False), [(4, 5)], 4 * 5 * 3),
        (torch.bmm, [(2, 3, 4), (2, 4, 5)], 2 * 3 * 4 * 5),
        (torch.matmul, [(2, 6, 3, 4), (4, 5)], 2 * 6 * 3 * 4 * 5),
        (lambda a, b: torch.einsum("bnd,bdhw->bnhw", a, b), [(2, 3, 4), (2, 4, 5, 6)], 2 * 3 * 4 * 30),
        (nn.LayerNorm(8), [(3, 8)], 5 * 24),
        (nn.LayerNorm(8, elementwise_affine=False), [(3, 8)], 4 * 24),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), [(1, 3, 4, 5)], 4 * 3 * 8 * 10),
        (
            lambda q, k: F.scaled_dot_product_attention(q, k, k),
            [(1, 2, 3, 4), (1, 2, 5, 4)],
            2 * 2 * 3 * 5 * 4,
        ),
        (lambda x: (x.relu() * 2 + x).softmax(-1).sigmoid(), [(4, 4)], 0),
        (
            lambda a, b: a * b,
            [(1, 4, 1), (1, 4, 8)],
            0,
        ),  # no depthwise tap outside the modules that have them
        (nn.BatchNorm2d(3).eval(), [(1, 3, 4, 4)], 0),
    ],
)
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_each_kind_of_operation(
    function: Callable[..., Any], shapes: list[tuple[int, ...]], expected: int, device: str
) -> None:
    if isinstance(function, nn.Module):
        function = function.to_empty(device=device)
    assert count_flops(function, *(torch.zeros(*shape, device=device) for shape in shapes)) == expected


def test_inference_mode_hides_nothing() -> None:
    with torch.inference_mode():
        assert count_flops(nn.Linear(5, 3), torch.zeros(2, 4, 5)) == 2 * 4 * 5 * 3


def test_fused_attention_is_counted_and_switched_back() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.zeros(1, 5, 8)
    assert torch.backends.mha.get_fastpath_enabled()
    assert count_flops(lambda: attention(x, x, x, need_weights=False)) == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    assert torch.backends.mha.get_fastpath_enabled()


def test_hooks_are_gone_afterwards_even_on_failure() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError):
        count_flops(layer, torch.zeros(3, 3))
    assert not layer._forward_hooks and not layer._forward_pre_hooks


def test_sums_cost_one_a_term() -> None:
    maps = [meta(1, 2, 3, 4) for _ in range(4)]
    assert count_flops(lambda a, b, c, d: a + b + c + d, *maps, count_sums=True) == 4 * 24
    assert count_flops(lambda a, b, c, d: (a + b) + (c + d), *maps, count_sums=True) == 4 * 24
    assert count_flops(lambda a, b, c, d: a + b + c + d, *maps) == 0
    assert count_flops(lambda a: a + 1, maps[0], count_sums=True) == 0


def test_both_forms_of_the_deformable_convolution_cost_its_products() -> None:
    layer = ModulatedDeformConv2d(4, 6)
    shapes = [(2, 4, 5, 7), (2, 18, 5, 7), (2, 9, 5, 7)]
    expected = 2 * 6 * 5 * 7 * 4 * 9
    assert count_flops(layer, *(torch.zeros(shape) for shape in shapes)) == expected
    assert count_flops(layer.to("meta"), *(meta(*shape) for shape in shapes)) == expected


def test_places_and_kinds() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2)))
    count = measure_flops(model, torch.zeros(3, 4))
    assert count.by_kind == {"matrix product": 3 * 24 + 3 * 12, "layer norm": 5 * 18}
    assert count.multiply_adds == 108 and count.total == 198
    assert count.within("1").total == 36 + 90 and count.only("1").total == 0
    assert count.within("0").by_place == {("0", "matrix product"): 72}
    lines = count.table(depth=1).splitlines()
    assert [line.split()[0] for line in lines] == ["module", "all", "0", "1"]


def aggregation_cost(order: Any, count_sums: bool = False) -> int:
    with torch.device("meta"):
        aggregator = FeaturePyramidAggregator((256, 512, 1024, 2048), 128, order)
    pyramid = Laterals(
        meta(1, 128, 256, 256), meta(1, 256, 128, 128), meta(1, 512, 64, 64), meta(1, 1024, 32, 32)
    )
    return count_flops(aggregator.aggregate, pyramid, count_sums=count_sums)


def test_table_5_to_the_last_digit() -> None:
    assert aggregation_cost("ifa") == 16_575_889_408
    assert aggregation_cost("ifa", count_sums=True) == 16_575_889_408
    assert aggregation_cost("cfa", count_sums=True) == 2_147_483_648
    # by fvcore's rule alone additions are free
    assert aggregation_cost("cfa") == 2_113_929_216


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mhca", 31_462_400),
        ("sdca", 5_401_600),
        ("dca", 15_488_000),
        ("pdca", 5_248_000),
        ("ddca", 281_600),
    ],
)
def test_table_6_to_the_last_digit(kind: Any, expected: int) -> None:
    with torch.device("meta"):
        attention = ATTENTIONS[kind](256, 100, 3, 8)
    assert count_flops(attention, meta(1, 100, 256), meta(1, 100, 256)) == expected


@pytest.fixture(scope="module")
def whole() -> FlopCount:
    """YOSO with ResNet-50 for COCO on a picture of 800x1344, every mask of the last stage included."""
    with torch.device("meta"):
        model = YOSO(YOSOConfig(), Categories.builtin("coco"), Preprocess()).eval()
    return measure_flops(lambda x: model(x).mask_logits, meta(1, 3, 800, 1344), root=model)


@pytest.mark.parametrize(
    ("part", "billions", "digits"),
    [
        ("backbone", 87.6, 1),
        ("backbone.stem", 2.5, 1),
        ("backbone.res2", 14.3, 1),
        ("backbone.res3", 22.0, 1),
        ("backbone.res4", 31.4, 1),
        ("backbone.res5", 17.3, 1),
        ("yoso_neck", 52.9, 1),
        *((f"yoso_neck.deconv.lateral_conv{i}", 2.2, 1) for i in range(4)),
        *((f"yoso_neck.deconv.deform_conv{i}.dcn", 4.95, 2) for i in (1, 2, 3)),
        *(
            (f"yoso_neck.deconv.deform_conv{i}.dcn_offset", g, 2)
            for i, g in ((1, 0.26), (2, 0.52), (3, 1.05))
        ),
        *((f"yoso_neck.deconv.deform_conv{i}.up_sample", 4.40, 2) for i in (1, 2, 3)),
        *((f"yoso_neck.deconv.conv_a{i}", g, 2) for i, g in ((2, 1.10), (3, 0.55), (4, 0.28), (5, 0.14))),
        ("yoso_neck.deconv.output_conv", 9.9, 1),
        ("yoso_neck.loc_conv", 2.24, 2),
        ("yoso_head.kernels", 1.72, 2),
    ],
)
def test_whole_network_by_part(whole: FlopCount, part: str, billions: float, digits: int) -> None:
    assert round(whole.within(part).multiply_adds / 1e9, digits) == billions


def test_whole_network_head_and_total(whole: FlopCount) -> None:
    for stage in (0, 1):
        place = f"yoso_head.mask_heads.{stage}"
        pooling = whole.only(place).multiply_adds
        assert round(pooling / 1e9, 2) == 1.72
        # independent of the picture's size
        assert whole.within(place).multiply_adds - pooling == pytest.approx(0.16e9, abs=0.015e9)
    # the masks of stage 1 are made by the head, those of stage 2 on demand, outside of all modules
    for place in ("yoso_head", ""):
        assert round(whole.only(place).multiply_adds / 1e9, 2) == 1.72
    assert round(whole.multiply_adds / 1e9) == 149
