"""Query boxes against the published procedure with loops over classes and boxes; ties everywhere."""

from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pansight.merging.sizes import Sizes
from pansight.models.dense_detection import DenseDetectionConfig, DenseOutputs, candidates
from pansight.models.dense_detection.candidates import Queries, find_queries
from pansight.models.dense_detection.outputs import STRIDES
from pansight.nn.nms import pairwise_iou

Row = tuple[float, int, int, tuple[float, ...]]
"""score, class, location, box"""


def greedy(rows: list[Row], threshold: float) -> list[Row]:
    """Suppression in the order of the rows; an IoU of just the threshold, in float32, does not suppress."""
    kept: list[Row] = []
    for row in rows:
        boxes = torch.tensor([[other[3] for other in kept]]).view(1, -1, 4)
        if not (pairwise_iou(boxes, torch.tensor([[row[3]]])) > threshold).any():
            kept.append(row)
    return kept


def literal_queries(
    outputs: DenseOutputs, picture: int, valid: tuple[int, int], config: DenseDetectionConfig
) -> list[Row]:
    """The procedure for one picture, step by step."""
    rows: list[Row] = []
    first = 0
    for stride, classes, centerness, offsets in zip(STRIDES, *outputs[:3], strict=True):
        probability = classes.permute(0, 2, 3, 1).flatten(1, 2).sigmoid()
        score = (probability * centerness.flatten(1).sigmoid()[..., None])[picture]
        cells = (probability[picture] > config.score_threshold).nonzero().tolist()
        cells.sort(key=lambda pair: -float(score[pair[0], pair[1]]))
        for cell, number in sorted(cells[: config.candidates_per_level]):
            row, column = divmod(cell, classes.shape[3])
            x, y = stride * column + stride // 2, stride * row + stride // 2
            left, top, right, bottom = offsets[picture, :, row, column]
            corners = torch.stack((x - left, y - top, x + right, y + bottom))
            limits = torch.tensor([valid[1] - 1.0, valid[0] - 1.0] * 2)
            box = tuple(corners.clamp(min=0).minimum(limits).tolist())
            rows.append((float(score[cell, number]), number, first + cell, box))
        first += classes[0, 0].numel()
    survivors: list[Row] = []
    for number in range(outputs.class_logits[0].shape[1]):
        own = sorted((row for row in rows if row[1] == number), key=lambda row: -row[0])
        survivors += greedy(own, config.nms_threshold)
    survivors = greedy(sorted(survivors, key=lambda row: -row[0]), config.duplicate_threshold)
    if len(survivors) > config.detections:
        least = survivors[config.detections - 1][0]
        survivors = [row for row in survivors if row[0] >= least]
    return survivors


def rows_of(queries: Queries, picture: int) -> list[Row]:
    """The kept rows, which must come first."""
    kept = queries.kept[picture]
    count = int(kept.sum())
    assert kept[:count].all()
    columns = (queries.scores, queries.classes, queries.locations, queries.boxes)
    score, number, location, box = (column[picture, :count].tolist() for column in columns)
    return [(s, n, at, tuple(b)) for s, n, at, b in zip(score, number, location, box, strict=True)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[DenseOutputs, Sizes, DenseDetectionConfig]:
    """Coarse logits and offsets: equal scores, equal boxes, and any cap may bind."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    height, width = draw(st.sampled_from([(16, 24), (33, 40), (57, 31)]))
    grain = draw(st.sampled_from([0.5, 2.0]))
    batch = draw(st.integers(1, 2))

    def coarse(channels: int, stride: int, shift: float = 0.0) -> Tensor:
        shape = (batch, channels, -(-height // stride), -(-width // stride))
        return (torch.randn(shape, generator=generator) / grain).round() * grain + shift

    shift = draw(st.sampled_from([-4.0, 0.0, 1.0]))
    outputs = DenseOutputs(
        tuple(coarse(3, s, shift) for s in STRIDES),
        tuple(coarse(1, s) for s in STRIDES),
        tuple(s * (2 + coarse(4, s)).clamp(0.5, 4) for s in STRIDES),
        None,
        torch.zeros(batch, 4, -(-height // 8), -(-width // 8)),
    )
    valid = [(height, width), (max(1, height - 9), max(1, width - 5))][:batch]
    config = DenseDetectionConfig(
        score_threshold=draw(st.sampled_from([0.0, 0.06, 0.5, 0.9])),
        candidates_per_level=draw(st.sampled_from([3, 10, 1000])),
        detections=draw(st.sampled_from([1, 4, 12, 100])),
        nms_threshold=draw(st.sampled_from([0.3, 0.6, 0.8])),
        duplicate_threshold=draw(st.sampled_from([0.7, 0.97])),
    )
    return outputs, Sizes((height, width), valid, valid), config


@settings(max_examples=50)
@given(case=cases(), look=st.sampled_from([2, 512]))
def test_is_the_literal_procedure(case: tuple[DenseOutputs, Sizes, DenseDetectionConfig], look: int) -> None:
    outputs, sizes, config = case
    wanted = [literal_queries(outputs, i, valid, config) for i, valid in enumerate(sizes.valid)]
    with mock.patch.object(candidates, "FIRST_LOOK", look):
        queries = find_queries(outputs, sizes, config, "pruned")
    assert [rows_of(queries, picture) for picture in range(len(wanted))] == wanted
    assert queries.kept.shape[1] == max(1, *map(len, wanted), 1)
    fixed = find_queries(outputs, sizes, config, "fixed")
    # where shapes do not depend on data, ties beyond the limit are cut off
    assert fixed.kept.shape[1] <= config.detections
    assert [rows_of(fixed, picture) for picture in range(len(wanted))] == [
        rows[: config.detections] for rows in wanted
    ]


def one_level(logits: Tensor, offsets: Tensor) -> DenseOutputs:
    """Only P3 says anything; centerness is one half."""
    batch, things, h, w = logits.shape
    sizes = [(-(-h // 2**level), -(-w // 2**level)) for level in range(5)]
    silent = [torch.full((batch, things, *size), -9.0) for size in sizes[1:]]
    return DenseOutputs(
        (logits, *silent),
        tuple(torch.zeros(batch, 1, *size) for size in sizes),
        (offsets, *(torch.ones(batch, 4, *size) for size in sizes[1:])),
        None,
        torch.zeros(batch, 4, h, w),
    )


def find(outputs: DenseOutputs, **changes: Any) -> Queries:
    size = (8 * outputs.semantic_logits.shape[2], 8 * outputs.semantic_logits.shape[3])
    return find_queries(outputs, Sizes(size, [size], [size]), DenseDetectionConfig(**changes), "pruned")


def test_ties_at_the_limit_of_detections_stay() -> None:
    outputs = one_level(torch.zeros(1, 1, 4, 8), torch.full((1, 4, 4, 8), 3.0))
    queries = find(outputs, detections=5)
    assert int(queries.kept.sum()) == 32
    assert queries.locations[0].tolist() == list(range(32))


def test_ties_at_the_limit_of_candidates_do_not() -> None:
    outputs = one_level(torch.zeros(1, 1, 4, 8), torch.full((1, 4, 4, 8), 3.0))
    queries = find(outputs, candidates_per_level=5)
    assert queries.locations[0].tolist() == [0, 1, 2, 3, 4]


def test_of_two_classes_of_one_location_the_better_stays() -> None:
    logits = torch.full((1, 2, 4, 4), -9.0)
    logits[0, :, 1, 2] = torch.tensor([1.0, 2.0])
    queries = find(one_level(logits, torch.full((1, 4, 4, 4), 9.0)))
    assert queries.classes[0].tolist() == [1]
    assert queries.locations[0].tolist() == [6]
    # cell (1, 2) stands for pixel (20, 12)
    assert queries.boxes[0, 0].tolist() == [11, 3, 29, 21]


@pytest.mark.parametrize(("probability", "kept"), [(0.5, 0), (0.4999, 16)])
def test_the_score_threshold_is_strict_and_before_centerness(probability: float, kept: int) -> None:
    outputs = one_level(torch.zeros(1, 1, 4, 4), torch.full((1, 4, 4, 4), 3.0))
    queries = find(outputs, score_threshold=probability)
    assert int(queries.kept.sum()) == kept
    assert not kept or queries.scores[0, 0] == 0.25
