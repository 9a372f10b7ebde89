"""The pyramid against its definition."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pansight.nn.fpn import FeaturePyramid

CHANNELS = (4, 6, 8)


def features() -> tuple[torch.Tensor, ...]:
    """Sides that are no multiples of each other."""
    torch.manual_seed(0)
    return tuple(torch.randn(2, c, *s) for c, s in zip(CHANNELS, ((13, 18), (7, 9), (4, 5)), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"extra_levels": 2},
        {"extra_levels": 2, "rectify_between_extra": False, "rectify_outputs": True, "top_down": "bilinear"},
        {},
    ],
    ids=["retinanet", "yolact", "plain"],
)
def test_levels_are_as_defined(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    pyramid = FeaturePyramid(CHANNELS, 5, **options)
    c3, c4, c5 = features()

    def same(module: torch.nn.Module, x: torch.Tensor, **options: int) -> torch.Tensor:
        assert isinstance(module, torch.nn.Conv2d)
        return F.conv2d(x, module.weight, module.bias, **options)

    def lateral(level: int, x: torch.Tensor) -> torch.Tensor:
        return same(pyramid.lateral[level], x)

    def up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        mode = options.get("top_down", "nearest")
        extra = {} if mode == "nearest" else {"align_corners": False}
        return F.interpolate(x, size=like.shape[2:], mode=mode, **extra)

    m5 = lateral(2, c5)
    m4 = lateral(1, c4) + up(m5, c4)
    m3 = lateral(0, c3) + up(m4, c3)
    expected = []
    for module, total in zip(pyramid.output, (m3, m4, m5), strict=True):
        level = same(module, total, padding=1)
        expected.append(level.relu() if options.get("rectify_outputs") else level)
    if options.get("extra_levels"):
        p6 = same(pyramid.extra[0], expected[-1], stride=2, padding=1)
        source = p6.relu() if options.get("rectify_between_extra", True) else p6
        p7 = same(pyramid.extra[1], source, stride=2, padding=1)
        expected += [p6, p7]
    found = pyramid((c3, c4, c5))
    assert len(found) == len(expected)
    for level, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(level, wanted)
    if options.get("extra_levels"):
        assert [tuple(level.shape[2:]) for level in found[3:]] == [(2, 3), (1, 2)]
        assert (found[3] < 0).any()  # what goes out is not rectified


def test_names() -> None:
    pyramid = FeaturePyramid(CHANNELS, 5, names={"lateral.0": "lat.2", "output.1": "out1"})
    keys = set(pyramid.state_dict())
    assert {"lat.2.weight", "lateral.1.bias", "out1.weight", "output.0.bias"} <= keys
    assert "lateral.0.weight" not in keys
