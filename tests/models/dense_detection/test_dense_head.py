"""The panoptic head: shapes, starts, and convolutions across levels in the other order."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pansight.models.dense_detection.conv_per_level import ConvPerLevel
from pansight.models.dense_detection.head import OFFSET_LIMIT, PanopticHead, across_levels
from pansight.models.dense_detection.outputs import STRIDES

Make = Callable[..., Any]

LEVELS = ((7, 9), (4, 5), (2, 3), (1, 2), (1, 1))


def maps(channels: int, sizes: tuple[tuple[int, int], ...] = LEVELS) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(2, channels, *size, dtype=torch.float64) for size in sizes)


@pytest.mark.parametrize("plain_first", [False, True])
@pytest.mark.parametrize("size", [(7, 9), (14, 18), (13, 11)], ids=str)
def test_per_level_convolutions_are_exact(size: tuple[int, int], plain_first: bool) -> None:
    """Borders and uneven factors included; double precision shows that it is no approximation."""
    if plain_first and size != LEVELS[0]:
        return
    torch.manual_seed(0)
    convolution = nn.Conv2d(5 * 4, 3, 3, padding=1).double()
    per_level = ConvPerLevel(convolution, 5, plain_first=plain_first)
    expected = across_levels(convolution, maps(4), size)
    found = across_levels(per_level, maps(4), size)
    assert found.shape == (2, 3, *size)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_folded_head_agrees_and_leaves_large_layers_alone(small_config: Make) -> None:
    torch.manual_seed(0)
    levels = tuple(level.float() for level in maps(16))
    for categories, commutes in ((1, True), (4, False)):
        # nine maps a category against twice the tower's eight channels
        head = PanopticHead(small_config(), 1, categories).eval()
        towers = head.towers(levels)
        before = head.semantics(towers.classes), head.levels(towers.box)
        head.fold()
        assert isinstance(head.cls_logits, ConvPerLevel) == commutes
        assert isinstance(head.levelness, ConvPerLevel)
        with torch.no_grad():
            after = head.semantics(towers.classes), head.levels(towers.box)
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
        assert before[1] is not None and before[1].shape == (2, 6, 14, 18)
        assert before[0].shape == (2, categories, 7, 9)


def test_keys_follow_the_options(small_config: Make) -> None:
    two = set(PanopticHead(small_config(), 2, 4).state_dict())
    one = PanopticHead(small_config(towers=1, levelness=False, mask_loss=False), 2, 4)
    gone = {key for key in two if "cls_tower" in key or "levelness" in key}
    assert gone and set(one.state_dict()) == two - gone
    # the one tower feeds everything
    assert one.box_cls_logits.in_channels == 16
    assert one.cls_logits.in_channels == 5 * 16
    towers = one.towers(tuple(level.float() for level in maps(16)))
    assert all(a is b for a, b in zip(towers.box, towers.classes, strict=True))
    assert one.levels(towers.box) is None


@pytest.mark.parametrize("start", ["level", "pixel"])
def test_first_boxes_have_the_size_they_should(small_config: Make, start: str) -> None:
    head = PanopticHead(small_config(box_start=start), 2, 4)
    nothing = tuple(torch.zeros(1, 16, 2, 2) for _ in STRIDES)
    offsets = [level.mean().item() for level in head.offsets(nothing)]
    # half of the greatest offset of each level: 16, 32, 64, 128 and twice the last
    expected = [8, 16, 32, 64, 128] if start == "level" else [1] * 5
    assert offsets == pytest.approx(expected, rel=1e-4)


def test_the_default_start_suits_the_default_bounds() -> None:
    """8 times the stride across, as large as the levels' cells want them."""
    from pansight.models.dense_detection import DenseDetectionConfig
    from pansight.models.dense_detection.head import first_scales

    scales = first_scales(DenseDetectionConfig(box_start="level"))
    assert [math.exp(scale) for scale in scales] == pytest.approx([4 * stride for stride in STRIDES])


def test_the_prior_is_on_the_classes_of_things(small_config: Make) -> None:
    head = PanopticHead(small_config(class_prior=0.01), 2, 4)
    assert head.box_cls_logits.bias is not None
    assert head.box_cls_logits.bias.tolist() == pytest.approx([-math.log(99)] * 2)
    free = PanopticHead(small_config(class_prior=None, class_normalizer="locations"), 2, 4)
    assert free.box_cls_logits.bias is not None and not free.box_cls_logits.bias.any()


def test_offsets_are_capped(small_config: Make) -> None:
    head = PanopticHead(small_config(), 2, 4)
    nn.init.constant_(head.bbox_pred.bias, 100.0)  # type: ignore[arg-type]
    box = tuple(torch.zeros(1, 16, 1, 1) for _ in STRIDES)
    assert head.offsets(box)[4].max().item() == pytest.approx(math.exp(OFFSET_LIMIT), rel=1e-5)
