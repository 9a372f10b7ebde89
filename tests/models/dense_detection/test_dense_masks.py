"""Soft masks: the pair formulas by hand, and the sparse form against all pairs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Form
from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import interpolated
from pansight.models.dense_detection import DenseDetectionConfig, DenseOutputs
from pansight.models.dense_detection.candidates import find_queries
from pansight.models.dense_detection.dense_boxes import boxes_of_levels, dense_boxes, pair_giou
from pansight.models.dense_detection.masks import soft_masks

THINGS = torch.tensor([0, 2])
Make = Callable[..., Any]


def literal_agreement(query: list[float], dense: list[float], kind: str) -> float:
    """Of two boxes, in double precision."""
    width = max(0.0, min(query[2], dense[2]) - max(query[0], dense[0]))
    height = max(0.0, min(query[3], dense[3]) - max(query[1], dense[1]))
    inner = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (query, dense)]
    union = sum(areas) - inner
    if kind == "iou":
        return inner / union
    hull = (max(query[2], dense[2]) - min(query[0], dense[0])) * (
        max(query[3], dense[3]) - min(query[1], dense[1])
    )
    return (inner + 1) / (union + 1) - (hull - union) / hull


def outputs_of(make: Make, height: int, width: int, *, levelness: bool) -> DenseOutputs:
    """Random maps with sure categories, so that masks have parts."""
    drawn: DenseOutputs = make(height, width)
    return DenseOutputs(
        tuple(level.detach() for level in drawn.class_logits),
        tuple(level.detach() for level in drawn.centerness),
        tuple(level.detach() * 4 for level in drawn.offsets),
        drawn.levelness.detach() if levelness and drawn.levelness is not None else None,
        drawn.semantic_logits.detach() * 3,
    )


@pytest.mark.parametrize("levelness", [True, False])
@pytest.mark.parametrize("kind", ["giou", "iou"])
@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_each_value_by_hand(random_outputs: Make, kind: Any, levelness: bool, form: Form) -> None:
    outputs = outputs_of(random_outputs, 32, 48, levelness=levelness)
    config = DenseDetectionConfig(location_probability=kind, levelness=levelness, mask_loss=False)
    sizes = Sizes((32, 48), [(32, 48), (30, 40)], [(32, 48), (30, 40)])
    queries = find_queries(outputs, sizes, config, "pruned")
    soft = soft_masks(outputs, queries, THINGS, config, 0.0, form)
    assert soft.shape == (2, queries.kept.shape[1], 8, 12)
    logits = F.interpolate(outputs.semantic_logits, size=(8, 12), mode="bilinear", align_corners=False)
    probability = logits.softmax(1)
    levels = dense_boxes(outputs)[None] if levelness else boxes_of_levels(outputs)
    for picture, row, cell in [(0, 0, 0), (0, 3, 17), (1, 1, 95), (1, 2, 50), (0, 1, 40)]:
        assert queries.kept[picture, row]
        query = queries.boxes[picture, row].tolist()
        agreement = max(literal_agreement(query, level[picture, cell].tolist(), kind) for level in levels)
        category = int(THINGS[queries.classes[picture, row]])
        wanted = agreement * float(probability[picture, category].flatten()[cell])
        assert float(soft[picture, row].flatten()[cell]) == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize("levelness", [True, False])
@pytest.mark.parametrize("kind", ["giou", "iou"])
@pytest.mark.parametrize("output", [(61, 90), (100, 75)])
def test_the_sparse_form_gives_the_same_masks(
    random_outputs: Make, kind: Any, levelness: bool, output: tuple[int, int]
) -> None:
    """After enlargement and cut; another resize after it reaches further."""
    outputs = outputs_of(random_outputs, 64, 96, levelness=levelness)
    valid = (61, 90)
    config = DenseDetectionConfig(
        location_probability=kind, levelness=levelness, mask_loss=False, detections=60
    )
    sizes = Sizes((64, 96), [valid] * 2, [output] * 2)
    queries, threshold = find_queries(outputs, sizes, config, "pruned"), 0.2
    reach = 1 if output == valid else 2
    sparse = soft_masks(outputs, queries, THINGS, config, threshold, "pruned", reach)
    whole = soft_masks(outputs, queries, THINGS, config, threshold, "fixed", reach)
    assert 0.05 < float((sparse != 0).float().mean()) < 0.98
    assert torch.equal(sparse[sparse != 0], whole[sparse != 0])

    def cut(soft: Tensor) -> Tensor:
        return (interpolated(soft, (64, 96), valid, output) >= threshold) & queries.kept[..., None, None]

    masks = cut(sparse)
    assert torch.equal(masks, cut(whole))
    assert int(masks.flatten(2).any(2).sum()) > 10


def test_equal_levels_go_to_the_finest(random_outputs: Make) -> None:
    outputs = outputs_of(random_outputs, 32, 32, levelness=True)
    assert outputs.levelness is not None
    outputs.levelness[:, 0] = 9  # background does not count
    outputs.levelness[:, 1:] = 0
    assert torch.equal(dense_boxes(outputs), boxes_of_levels(outputs)[0])
    outputs.levelness[:, 4:] = 1
    assert torch.equal(dense_boxes(outputs), boxes_of_levels(outputs)[3])


def test_agreement_falls_below_zero_far_away() -> None:
    far = pair_giou(torch.tensor([0.0, 0, 10, 10]), torch.tensor([90.0, 0, 100, 10]))
    assert float(far) == pytest.approx(1 / 201 - 800 / 1000)
