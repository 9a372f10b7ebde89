"""Each loss against a slow transcription of its equation."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.dense_detection import DenseOutputs
from pansight.models.dense_detection.losses import (
    box_losses,
    detection_losses,
    levelness_loss,
    semantic_loss,
    truth_of,
)

Make = Callable[..., Any]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def pictures(rectangles: Make) -> list[Target]:
    """64 x 96, of which the second is real up to 60 x 80 and has a crowd."""
    first = rectangles(64, 96, (1, (0, 0, 96, 20)), (0, (10, 5, 60, 50)), (2, (30, 30, 52, 60)))
    second = rectangles(
        64, 96, (3, (0, 30, 80, 60)), (2, (20, 20, 32, 33)), (0, (50, 0, 70, 40)), crowd=(2,), size=(60, 80)
    )
    return [first, second]


def cells_of(maps: tuple[Tensor, ...], picture: int) -> list[list[float]]:
    """The channels of every cell, level by level, row by row."""
    return [
        level[picture, :, i, j].tolist()
        for level in maps
        for i in range(level.shape[2])
        for j in range(level.shape[3])
    ]


def corners(offsets: list[float], at: tuple[float, float] = (100.0, 200.0)) -> tuple[float, ...]:
    left, top, right, bottom = offsets
    return at[0] - left, at[1] - top, at[0] + right, at[1] + bottom


def literal_overlap(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float]:
    """Areas of the intersection, the union and the hull of two boxes."""
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inner, union, hull


@pytest.mark.parametrize("normalizer", ["foreground", "locations"])
@pytest.mark.parametrize("kind", ["iou", "giou"])
@pytest.mark.parametrize("supervision", ["masks", "boxes"])
def test_detection_losses_equal_the_loops(
    rectangles: Make,
    random_outputs: Make,
    small_config: Make,
    thing_channels: Tensor,
    kind: str,
    normalizer: str,
    supervision: str,
) -> None:
    config = small_config(
        box_loss=kind,
        class_normalizer=normalizer,
        supervision=supervision,
        mask_loss=False,
        focal_alpha=0.3,
        focal_gamma=1.5,
    )
    outputs: DenseOutputs = random_outputs(64, 96)
    truth = truth_of(pictures(rectangles), outputs, thing_channels, config)
    box = centerness = focal = 0.0
    foreground = valid = 0
    for picture in range(2):
        rows = zip(
            cells_of(outputs.class_logits, picture),
            cells_of(outputs.centerness, picture),
            cells_of(outputs.offsets, picture),
            truth.levels[picture].owners.tolist(),
            truth.levels[picture].labels.tolist(),
            truth.levels[picture].offsets.tolist(),
            strict=True,
        )
        for logits, (center,), offsets, owner, label, wanted in rows:
            if owner == -2:
                continue
            valid += 1
            for channel, logit in enumerate(logits):
                p = sigmoid(logit)
                if channel == label:
                    focal -= 0.3 * (1 - p) ** 1.5 * math.log(p)
                else:
                    focal -= 0.7 * p**1.5 * math.log(1 - p)
            if owner >= 0:
                foreground += 1
                inner, union, hull = literal_overlap(corners(offsets), corners(wanted))
                overlap = (inner + 1) / (union + 1)
                box += -math.log(overlap) if kind == "iou" else 1 - (overlap - (hull - union) / hull)
                left, top, right, bottom = wanted
                target = math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
                p = sigmoid(center)
                centerness -= target * math.log(p) + (1 - target) * math.log(1 - p)
    assert 10 < foreground < valid < sum(len(t.owners) for t in truth.levels)
    losses = detection_losses(outputs, truth.levels, config)
    total = {"foreground": foreground, "locations": valid}[normalizer]
    assert losses["box"].item() == pytest.approx(box / foreground, rel=1e-4)
    assert losses["centerness"].item() == pytest.approx(centerness / foreground, rel=1e-4)
    assert losses["class"].item() == pytest.approx(focal / total, rel=1e-4)


def test_levelness_equals_the_loops(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    config = small_config(mask_loss=False)
    outputs: DenseOutputs = random_outputs(64, 96)
    truth = truth_of(pictures(rectangles), outputs, thing_channels, config)
    assert truth.dense is not None and outputs.levelness is not None
    total, count, seen = 0.0, 0, set()
    for picture, target in enumerate(truth.dense):
        logits = outputs.levelness[picture].flatten(1).T.tolist()
        for row, owner, offsets in zip(logits, target.owners.tolist(), target.offsets.tolist(), strict=True):
            if owner == -2:
                continue
            label = 0 if owner < 0 else 1 + sum(max(offsets) > bound for bound in config.level_bounds)
            seen.add(label)
            total += math.log(sum(math.exp(x) for x in row)) - row[label]
            count += 1
    assert seen >= {0, 1, 2, 3}
    loss = levelness_loss(outputs.levelness, truth.dense, config.level_bounds)
    assert loss.item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_semantics_count_the_worst_pixels(stride: int) -> None:
    """The enlargement's own values are torch's; the choice of pixels is done by hand."""
    torch.manual_seed(3)
    logits = torch.randn(3, 5, 4, 6)
    height, width = 30, 41  # less than 8 times the map
    labels = torch.randint(0, 5, (3, -(-height // stride), -(-width // stride)))
    labels[0, :2] = -1
    labels[2] = -1
    factor = 8 // stride
    large = F.interpolate(logits, scale_factor=factor, mode="bilinear")
    means = []
    for picture in range(2):
        values = []
        for i in range(labels.shape[1]):
            for j in range(labels.shape[2]):
                if labels[picture, i, j] >= 0:
                    column = large[picture, :, i, j].tolist()
                    values.append(
                        math.log(sum(math.exp(x) for x in column)) - column[int(labels[picture, i, j])]
                    )
        worst = sorted(values, reverse=True)[: math.ceil(0.3 * len(values))]
        means.append(sum(worst) / len(worst))
    loss = semantic_loss(logits, labels, stride, 0.3)
    assert loss.item() == pytest.approx(sum(means) / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["iou", "giou"])
def test_equal_boxes_lose_nothing_and_gradients_are_right(kind: str) -> None:
    torch.manual_seed(0)
    wanted = torch.rand(6, 4, dtype=torch.float64) * 20 + 1
    assert box_losses(wanted, wanted, kind).tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    predicted = (wanted * (0.5 + torch.rand_like(wanted))).requires_grad_()
    assert (box_losses(predicted, wanted, kind) > 0).all()
    assert torch.autograd.gradcheck(lambda x: box_losses(x, wanted, kind), predicted)


def test_nothing_to_find_keeps_the_graph(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    """Every process of a parallel training needs gradients, zeros though they are."""
    config = small_config(mask_loss=False)
    outputs: DenseOutputs = random_outputs(64, 96)
    empty = [rectangles(64, 96, (1, (0, 0, 96, 64))), rectangles(64, 96)]
    truth = truth_of(empty, outputs, thing_channels, config)
    losses = detection_losses(outputs, truth.levels, config)
    assert losses["box"].item() == losses["centerness"].item() == 0
    assert losses["class"] > 0
    torch.stack(list(losses.values())).sum().backward()
    for level in (*outputs.offsets, *outputs.centerness):
        assert level.grad is not None and not level.grad.any()


def test_crowds_and_padding_cost_nothing(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    """Whatever is said of a crowd's cells or beyond the picture, losses stay as they are."""
    config = small_config(mask_loss=False)
    outputs: DenseOutputs = random_outputs(64, 96)
    target = rectangles(64, 96, (2, (20, 20, 32, 33)), (0, (40, 0, 70, 40)), crowd=(1,), size=(60, 80))
    truth = truth_of([target, target], outputs, thing_channels, config)
    assert truth.dense is not None and outputs.levelness is not None
    before = detection_losses(outputs, truth.levels, config)
    level = levelness_loss(outputs.levelness, truth.dense, config.level_bounds)
    with torch.no_grad():
        outputs.class_logits[0][:, :, :5, 5:8] += 3  # P3 cells of the crowd: pixels 44 to 60, 4 to 36
        outputs.class_logits[0][:, :, :, 10:] += 3  # pixels from 84 on
        outputs.levelness[:, 2, :9, 10:17] += 3
        outputs.levelness[:, 2, 15:] += 3
    after = detection_losses(outputs, truth.levels, config)
    torch.testing.assert_close(before, after)
    torch.testing.assert_close(levelness_loss(outputs.levelness, truth.dense, config.level_bounds), level)
    with torch.no_grad():
        outputs.class_logits[0][:, :, 6, 0] += 3
        outputs.levelness[:, 2, 0, 0] += 3
    assert detection_losses(outputs, truth.levels, config)["class"] > before["class"]
    assert levelness_loss(outputs.levelness, truth.dense, config.level_bounds) > level
