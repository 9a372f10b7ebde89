"""Targets against a slow transcription of Eq. 8-10, cell by cell."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.models.base import Target
from pansight.models.dense_detection.outputs import STRIDES
from pansight.models.dense_detection.targets import (
    BACKGROUND,
    IGNORED,
    CellTarget,
    cell_target,
    centerness_of,
    dense_cells,
    find_things,
    level_cells,
    levels_of,
    owners_by_box,
    owners_by_mask,
    semantics_of,
)

Make = Callable[..., Any]
BOUNDS = (16.0, 32.0, 64.0, 128.0)

SIZES = [(-(-90 // s), -(-130 // s)) for s in STRIDES]


def garden_picture(rectangles: Make) -> Target:
    """90 x 130, of which 80 x 120 are real: a large dog, a cat in front, a small dog, a crowd, stuff."""
    return rectangles(
        90,
        130,
        (1, (0, 0, 120, 30)),
        (3, (0, 30, 120, 80)),
        (0, (10, 10, 90, 70)),
        (2, (40, 20, 70, 50)),
        (0, (100, 60, 107, 68)),
        (2, (96, 4, 120, 40)),
        crowd=(5,),
        size=(80, 120),
    )


def box_around(mask: Tensor) -> tuple[int, int, int, int]:
    rows, columns = mask.nonzero().unbind(1)
    return (
        int(columns.min()),
        int(rows.min()),
        int(columns.max()) + 1,
        int(rows.max()) + 1,
    )


def literal_cell(
    target: Target, x: int, y: int, low: float, high: float, by_box: bool
) -> tuple[int, int, tuple[int, ...]]:
    """Owner among the things that are no crowds, label, offsets: Sec. 4.1 word by word."""
    height, width = target.size
    if y >= height or x >= width:
        return IGNORED, -1, ()
    channels = {0: 0, 2: 1}
    things = [i for i, c in enumerate(target.categories.tolist()) if c in channels]
    plain = [i for i in things if not target.crowd[i]]
    crowds = [i for i in things if target.crowd[i]]
    found = []
    for owner, i in enumerate(plain):
        x1, y1, x2, y2 = box_around(target.masks[i])
        offsets = (x - x1, y - y1, x2 - x, y2 - y)
        inside = x1 <= x < x2 and y1 <= y < y2 if by_box else bool(target.masks[i, y, x])
        if inside:
            found.append(((x2 - x1) * (y2 - y1), owner, i, offsets))
    if not found:
        for i in crowds:
            x1, y1, x2, y2 = box_around(target.masks[i])
            if (x1 <= x < x2 and y1 <= y < y2) if by_box else target.masks[i, y, x]:
                return IGNORED, -1, ()
    fitting = [entry for entry in found if low <= max(entry[3]) <= high]
    if not fitting:
        return BACKGROUND, -1, ()
    _, owner, i, offsets = min(fitting)
    return owner, channels[int(target.categories[i])], offsets


def assigned(target: Target, cells: Any, channels: Tensor, by_box: bool) -> CellTarget:
    truth = find_things(target, channels)
    owners = owners_by_box(truth, cells) if by_box else owners_by_mask(target, channels, cells)
    return cell_target(owners, truth.things, cells)


@pytest.mark.parametrize("by_box", [False, True], ids=["masks", "boxes"])
def test_cells_equal_the_loops(rectangles: Make, thing_channels: Tensor, by_box: bool) -> None:
    target = garden_picture(rectangles)
    ends = (-1.0, *BOUNDS, math.inf)
    expected = [
        literal_cell(target, s * j + s // 2, s * i + s // 2, ends[level], ends[level + 1], by_box)
        for level, (s, (height, width)) in enumerate(zip(STRIDES, SIZES, strict=True))
        for i in range(height)
        for j in range(width)
    ]
    found = assigned(target, level_cells(SIZES, BOUNDS, torch.device("cpu")), thing_channels, by_box)
    same_as(found, expected)
    assert {0, 1, 2, BACKGROUND, IGNORED} == set(found.owners.tolist())

    height, width = 2 * SIZES[0][0], 2 * SIZES[0][1]
    expected = [
        literal_cell(target, 4 * j + 2, 4 * i + 2, -1.0, math.inf, by_box)
        for i in range(height)
        for j in range(width)
    ]
    found = assigned(target, dense_cells((height, width), torch.device("cpu")), thing_channels, by_box)
    same_as(found, expected)
    levels = levels_of(found.offsets, BOUNDS)[found.foreground]
    wanted = [
        next(level for level in range(1, 6) if level == 5 or max(offsets) <= BOUNDS[level - 1])
        for owner, _, offsets in expected
        if owner >= 0
    ]
    assert levels.tolist() == wanted


def same_as(found: CellTarget, expected: list[tuple[int, int, tuple[int, ...]]]) -> None:
    assert found.owners.tolist() == [owner for owner, _, _ in expected]
    assert found.labels.tolist() == [label for _, label, _ in expected]
    offsets = [offsets for owner, _, offsets in expected if owner >= 0]
    assert found.offsets[found.foreground].tolist() == [list(row) for row in offsets]


def test_an_offset_on_a_bound_is_on_both_levels(rectangles: Make, thing_channels: Tensor) -> None:
    """Eq. 9 includes both ends; levelness takes the finer level."""
    target = rectangles(32, 32, (0, (0, 0, 20, 12)))
    bounds = (12.0, 12.5, 64.0, 128.0)
    cells = level_cells([(4, 4), (2, 2), (1, 1), (1, 1), (1, 1)], bounds, torch.device("cpu"))
    found = assigned(target, cells, thing_channels, by_box=False)
    # on P3 the pixel (12, 4), on P4 the pixel (8, 8): both reach 12 pixels, and no further
    assert found.offsets[[1, 16]].tolist() == [[12, 4, 8, 8], [8, 8, 12, 4]]
    assert found.owners[[1, 16]].tolist() == [0, 0]
    assert levels_of(found.offsets[[1, 16]], bounds).tolist() == [1, 1]
    # the pixel (4, 4) reaches 16, too far for both
    assert found.owners[0] == BACKGROUND


def test_centerness_by_hand() -> None:
    offsets = torch.tensor([[4.0, 4, 4, 4], [1, 4, 4, 4], [2, 3, 6, 12], [0, 4, 8, 4]])
    expected = [1.0, 0.5, math.sqrt(1 / 3 * 1 / 4), 0.0]
    assert centerness_of(offsets).tolist() == pytest.approx(expected)


def test_a_thin_thing_has_finite_targets(rectangles: Make, thing_channels: Tensor) -> None:
    """One pixel wide, on the pixel of a cell: right and bottom are 1, so nothing divides by zero."""
    target = rectangles(16, 16, (2, (4, 0, 5, 16)))
    cells = level_cells([(2, 2), (1, 1), (1, 1), (1, 1), (1, 1)], BOUNDS, torch.device("cpu"))
    found = assigned(target, cells, thing_channels, by_box=False)
    assert found.offsets[found.foreground].tolist() == [[0, 4, 1, 12], [0, 12, 1, 4]]
    assert centerness_of(found.offsets[found.foreground]).tolist() == [0, 0]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_semantics_keep_crowds(rectangles: Make, stride: int) -> None:
    target = garden_picture(rectangles)
    labels = semantics_of(target, stride)
    start = stride // 2
    expected = torch.full((90, 130), -1)
    for mask, category in zip(target.masks, target.categories, strict=True):
        expected[mask] = category
    assert torch.equal(labels, expected[start::stride, start::stride])
    assert labels[-1, 0] == -1  # beyond the picture
    assert 2 in labels[: 40 // stride, 100 // stride :]  # the crowd of cats


@pytest.mark.parametrize("by_box", [False, True], ids=["masks", "boxes"])
def test_pictures_without_things(rectangles: Make, thing_channels: Tensor, by_box: bool) -> None:
    cells = dense_cells((8, 8), torch.device("cpu"))
    for target in (rectangles(32, 32, (1, (0, 0, 32, 20))), rectangles(32, 32)):
        found = assigned(target, cells, thing_channels, by_box)
        assert set(found.owners.tolist()) == {BACKGROUND}
        assert set(found.labels.tolist()) == {-1}
        assert semantics_of(target, 2).shape == (16, 16)
