"""The feature pyramid aggregator."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.yoso.neck import DeformableUpsample, FeaturePyramidAggregator, Laterals, Neck
from pansight.nn.coordinates import coordinate_channels
from pansight.nn.features import Pyramid

CHANNELS = (8, 16, 24, 32)


def features(seed: int = 0, height: int = 2, width: int = 3) -> Pyramid:
    generator = torch.Generator().manual_seed(seed)
    return Pyramid(
        *(
            torch.randn(2, c, height * s, width * s, generator=generator)
            for c, s in zip(CHANNELS, (8, 4, 2, 1), strict=True)
        )
    )


def neck(order: str = "cfa", seed: int = 0) -> Neck:
    torch.manual_seed(seed)
    made = Neck(CHANNELS, 10, 14, order)  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            cast(Tensor, module.running_mean).uniform_(-0.5, 0.5)
            cast(Tensor, module.running_var).uniform_(0.5, 1.5)
    return made.eval()


def test_the_map_follows_the_fact_sheet() -> None:
    """Section 3's table, line by line."""
    made = neck()
    deconv, x = made.deconv, features()

    def up(i: int, v: Tensor) -> Tensor:
        block = deconv.get_submodule(f"deform_conv{i}")
        raw = cast(Tensor, block.get_submodule("dcn_offset")(v))
        v = block.get_submodule("dcn")(v, raw[:, :18], raw[:, 18:].sigmoid())
        v = F.relu(block.get_submodule("dcn_bn")(v))
        return F.relu(cast(Tensor, block.get_submodule("up_bn")(block.get_submodule("up_sample")(v))))

    def bilinear(v: Tensor, factor: int) -> Tensor:
        size = (v.shape[2] * factor, v.shape[3] * factor)
        return F.interpolate(v, size=size, mode="bilinear", align_corners=False)

    with torch.no_grad():
        x5 = deconv.lateral_conv0(x.res5)
        x4 = deconv.lateral_conv1(x.res4) + up(1, x5)
        x3 = deconv.lateral_conv2(x.res3) + up(2, x4)
        x2 = deconv.lateral_conv3(x.res2) + up(3, x3)
        assert [v.shape[1] for v in (x2, x3, x4, x5)] == [4, 8, 12, 16]
        z = (
            bilinear(deconv.conv_a5(x5), 8)
            + bilinear(deconv.conv_a4(x4), 4)
            + bilinear(deconv.conv_a3(x3), 2)
        )
        z = z + deconv.conv_a2(x2) + cast(Tensor, deconv.bias)
        g = deconv.output_conv(z)
        expected = made.loc_conv(torch.cat((g, coordinate_channels(g)), 1))
        got = made(x)
    assert got.shape == (2, 14, 16, 24)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_both_orders_are_one_linear_map() -> None:
    cfa, ifa = neck("cfa"), neck("ifa", seed=1)
    state = {key: value for key, value in cfa.state_dict().items() if ".conv_a" not in key}
    joined = torch.cat([cfa.deconv.get_parameter(f"conv_a{i}.weight") for i in (5, 4, 3, 2)], dim=1)
    ifa.load_state_dict({**state, "deconv.conv_a.weight": joined}, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ifa(features()), cfa(features()), rtol=1e-4, atol=1e-4)
        # and not by chance: the order of the levels matters
        ifa.deconv.conv_a.weight.copy_(joined.roll(4, 1))
        assert not torch.allclose(ifa(features()), cfa(features()), atol=1e-2)


def test_aggregate_takes_the_levels_by_name() -> None:
    made = FeaturePyramidAggregator(CHANNELS, 10)
    levels = [torch.randn(1, c // 2, 4 * s, 4 * s) for c, s in zip(CHANNELS, (8, 4, 2, 1), strict=True)]
    assert made.aggregate(Laterals(*levels)).shape == (1, 10, 32, 32)


def test_upsampling_doubles_and_its_folding_keeps_the_answer() -> None:
    block = next(m for m in neck().modules() if isinstance(m, DeformableUpsample))
    x = torch.randn(2, 16, 5, 7)
    with torch.no_grad():
        before = block(x)
        assert before.shape == (2, 12, 10, 14)
        assert (before >= 0).all()
        assert before.std() > 0.1
        block.fold()
        assert isinstance(block.dcn_bn, nn.Identity)
        assert isinstance(block.up_bn, nn.Identity)
        torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-5)
        block.fold()
        torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", ["cfa", "ifa"])
def test_folding_the_bias_keeps_the_answer(order: str) -> None:
    made = neck(order)
    with torch.no_grad():
        before = made(features())
        made.deconv.fold()
        made.deconv.fold()
        assert made.deconv.bias is None
        torch.testing.assert_close(made(features()), before, rtol=1e-4, atol=1e-5)


def test_the_deferred_projection_makes_the_same_map() -> None:
    made = neck()
    with torch.no_grad():
        before = made(features())
        matrix = made.defer()
        raw = made(features())
    assert matrix.shape == (14, 13)
    assert raw.shape == (2, 13, 16, 24)
    torch.testing.assert_close(torch.einsum("de,behw->bdhw", matrix, raw), before, rtol=1e-4, atol=1e-5)


def test_initial_weights_are_as_released() -> None:
    """All with more than one axis is Xavier uniform, the offsets' weight and the lone bias included."""
    torch.manual_seed(0)
    fresh = Neck((256, 512, 1024, 2048), 128, 256)
    offset = fresh.deconv.deform_conv3.dcn_offset
    bound = (6 / ((256 + 27) * 9)) ** 0.5
    assert 0.98 * bound < float(offset.weight.detach().abs().max()) <= bound
    assert cast(Tensor, offset.bias).count_nonzero() == 0
    bias = cast(Tensor, fresh.deconv.bias)
    assert bias.shape == (1, 128, 1, 1)
    assert 0.9 * 0.2157 < float(bias.detach().abs().max()) <= 0.2157


def test_parameters_are_the_released_ones() -> None:
    with torch.device("meta"):
        made = Neck((256, 512, 1024, 2048), 128, 256)
    assert sum(p.numel() for p in made.parameters()) == 15_351_505
