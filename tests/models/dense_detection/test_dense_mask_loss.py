"""The mask loss against a slow transcription of Eq. 14 and 16-18."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.models.dense_detection import DenseOutputs
from pansight.models.dense_detection.candidates import Queries
from pansight.models.dense_detection.dense_boxes import dense_boxes, pair_giou, pair_iou
from pansight.models.dense_detection.losses import DenseTruth, truth_of
from pansight.models.dense_detection.mask_loss import mask_loss

Make = Callable[..., Any]
Box = tuple[float, ...]


def iou(a: Box, b: Box) -> float:
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def giou(a: Box, b: Box) -> float:
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return (inner + 1) / (union + 1) - (hull - union) / hull


def scene(rectangles: Make, outputs: DenseOutputs, channels: Tensor, config: Any) -> DenseTruth:
    targets = [
        rectangles(64, 96, (1, (0, 0, 96, 20)), (0, (10, 5, 60, 50)), (2, (30, 30, 52, 60))),
        rectangles(64, 96, (2, (20, 20, 32, 33)), (0, (50, 0, 70, 40)), crowd=(1,), size=(60, 80)),
    ]
    return truth_of(targets, outputs, channels, config)


def some_queries(truth: DenseTruth, seed: int = 0) -> Queries:
    """Boxes near things, at cells that belong to things, to nothing, and to what is ignored."""
    torch.manual_seed(seed)
    owners = [t.owners for t in truth.levels]
    rows = []
    for picture, cells in enumerate(owners):
        found = cells.unique().tolist()
        places = [int((cells == owner).nonzero()[0]) for owner in found] * 2
        places = (places * 8)[:8]
        boxes = []
        for place in places:
            owner = int(cells[place])
            box = truth.things[picture].boxes[max(owner, 0)]
            boxes.append(box + torch.randn(4) * 2)
        kept = torch.ones(8, dtype=torch.bool)
        kept[7] = False
        rows.append(
            (torch.stack(boxes), torch.rand(8), torch.randint(0, 2, (8,)), torch.tensor(places), kept)
        )
    return Queries(*(torch.stack(column) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize("score", ["iou", "giou_sem"])
def test_mask_loss_equals_the_loops(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor, score: str
) -> None:
    config = small_config(mask_loss_score=score)
    outputs: DenseOutputs = random_outputs(64, 96)
    truth = scene(rectangles, outputs, thing_channels, config)
    assert truth.dense is not None and outputs.levelness is not None
    queries = some_queries(truth)
    boxes = dense_boxes(outputs).tolist()
    semantic = F.interpolate(outputs.semantic_logits, size=(16, 24), mode="bilinear").softmax(1)
    things = torch.tensor([0, 2])
    terms = []
    for picture in range(2):
        cells = truth.dense[picture].owners.tolist()
        for j in range(8):
            owner = int(truth.levels[picture].owners[queries.locations[picture, j]])
            if owner < 0 or not queries.kept[picture, j]:
                continue
            query = tuple(queries.boxes[picture, j].tolist())
            weight = iou(query, tuple(truth.things[picture].boxes[owner].tolist()))
            false_positive = false_negative = 0.0
            own = 0
            for place, cell in enumerate(cells):
                if cell == -2:
                    continue
                agreement = iou(query, tuple(boxes[picture][place]))
                if score == "giou_sem":
                    category = things[queries.classes[picture, j]]
                    probability = semantic[picture, category].flatten()[place].item()
                    agreement = giou(query, tuple(boxes[picture][place])) * probability
                if cell == owner:
                    own += 1
                    false_negative += 1 - agreement
                else:
                    false_positive += agreement
            terms.append(weight / own * (false_positive + false_negative))
    assert len(terms) >= 5
    loss = mask_loss(outputs, queries, thing_channels, truth.things, truth.levels, truth.dense, config)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_dense_boxes_by_hand(random_outputs: Make) -> None:
    """Eq. 14 at one cell: the best level but background, its interpolated offsets, at the cell's pixel."""
    outputs: DenseOutputs = random_outputs(64, 96)
    assert outputs.levelness is not None
    with torch.no_grad():
        outputs.levelness[1, :, 3, 5] = torch.tensor([9.0, 1, 2, 5, 4, 3])
    boxes = dense_boxes(outputs)
    assert boxes.shape == (2, 16 * 24, 4)
    left, top, right, bottom = F.interpolate(outputs.offsets[2], size=(16, 24), mode="bilinear")[1, :, 3, 5]
    expected = torch.stack((22 - left, 14 - top, 22 + right, 14 + bottom))
    torch.testing.assert_close(boxes[1, 3 * 24 + 5], expected)


def test_gradients_reach_the_offsets_alone_and_are_right(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    config = small_config()
    outputs: DenseOutputs = random_outputs(64, 96, dtype=torch.float64)
    truth = scene(rectangles, outputs, thing_channels, config)
    assert truth.dense is not None
    dense = truth.dense
    queries = some_queries(truth)

    def loss(*offsets: Tensor) -> Tensor:
        changed = outputs._replace(offsets=offsets)
        return mask_loss(changed, queries, thing_channels, truth.things, truth.levels, dense, config)

    loss(*outputs.offsets).backward()
    for name in ("class_logits", "centerness"):
        assert all(level.grad is None for level in getattr(outputs, name))
    assert outputs.semantic_logits.grad is None
    # one number in each level's map; finite differences in double precision
    for level, offsets in enumerate(outputs.offsets):
        assert offsets.grad is not None
        place = int(offsets.grad.abs().argmax())
        slope = offsets.grad.flatten()[place].item()
        if slope == 0:
            continue
        step = 1e-3
        values = []
        for sign in (1, -1):
            moved = [o.detach().clone() for o in outputs.offsets]
            moved[level].view(-1)[place] += sign * step
            values.append(loss(*moved).item())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=2e-2)


def test_no_query_on_a_thing_keeps_the_graph(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    config = small_config()
    outputs: DenseOutputs = random_outputs(64, 96)
    truth = scene(rectangles, outputs, thing_channels, config)
    assert truth.dense is not None
    queries = some_queries(truth)
    queries = queries._replace(kept=torch.zeros_like(queries.kept))
    loss = mask_loss(outputs, queries, thing_channels, truth.things, truth.levels, truth.dense, config)
    assert loss.item() == 0
    loss.backward()
    assert all(level.grad is not None and not level.grad.any() for level in outputs.offsets)


def test_a_thing_without_a_cell_stays_finite(
    rectangles: Make, random_outputs: Make, small_config: Make, thing_channels: Tensor
) -> None:
    """Three pixels wide: a cell of P3 lies on it, none of the dense grid."""
    config = small_config()
    outputs: DenseOutputs = random_outputs(64, 96)
    target = rectangles(64, 96, (0, (11, 0, 14, 20)))
    truth = truth_of([target, target], outputs, thing_channels, config)
    assert truth.dense is not None
    assert not truth.dense[0].foreground.any()
    assert truth.levels[0].foreground.any()
    loss = mask_loss(
        outputs, some_queries(truth), thing_channels, truth.things, truth.levels, truth.dense, config
    )
    assert math.isfinite(loss.item())


def test_pairs_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 4, 4]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [6, 0, 10, 4]])
    assert pair_iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0])
    expected = [1, 51 / 151, 1 / 33 - 8 / 40]
    assert pair_giou(a, b).tolist() == pytest.approx(expected, abs=1e-6)
