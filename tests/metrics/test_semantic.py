"""Semantic IoU against counting pixel by pixel."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.metrics.semantic import SemanticQuality
from pansight.panoptic import PanopticMap

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]


def row(*runs: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.full(count, id, dtype=np.int32) for id, count in runs])[None]


def quality_of(categories: Categories, *pairs: tuple[PanopticMap, PanopticMap]) -> SemanticQuality:
    quality = SemanticQuality(categories)
    for prediction, truth in pairs:
        quality.add(match_maps(prediction, truth, categories, "x", False, Remarks()))
    return quality


def test_by_hand(categories: Categories) -> None:
    # Two persons (6 + 4), a tree of 5, and 5 pixels of void, which do not count whatever lies there.
    truth = PanopticMap.from_table(
        row((1, 6), (2, 4), (3, 5), (0, 5)), [(1, 0), (2, 0, None, True), (3, 3)], categories
    )
    # Person 1 is whole; 3 pixels of the crowd are tree, 1 is void; 1 of the tree is a car, as is the void.
    prediction = PanopticMap.from_table(
        row((7, 6), (8, 3), (0, 1), (8, 4), (9, 6)), [(7, 0), (8, 3), (9, 1)], categories
    )
    result = quality_of(categories, (prediction, truth)).compute()
    assert result.ious == (6 / 10, 0.0, None, 4 / 8)
    assert result.mean_iou == pytest.approx((0.6 + 0 + 0.5) / 3, abs=1e-15)
    assert result.accuracy == 10 / 15
    assert result.confusion.tolist() == [
        [6, 0, 0, 3, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 1, 0, 4, 0],
    ]
    form = result.to_json()
    assert form["classes"] == {"1": 0.6, "3": 0.0, "92": None, "184": 0.5}
    assert form["miou"] == result.mean_iou


def test_nothing_to_judge(categories: Categories) -> None:
    result = SemanticQuality(categories).compute()
    assert result.mean_iou is None and result.accuracy is None and set(result.ious) == {None}


@settings(max_examples=50)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3))
def test_pixel_by_pixel(categories: Categories, make_pair: MakePair, seeds: list[int]) -> None:
    pairs = [make_pair(seed) for seed in seeds]
    result = quality_of(categories, *pairs).compute()
    true = np.concatenate([truth.semantic().ravel() for _, truth in pairs])
    predicted = np.concatenate([prediction.semantic().ravel() for prediction, _ in pairs])
    predicted = predicted[true >= 0]
    true = true[true >= 0]
    for index, iou in enumerate(result.ious):
        union = np.sum((true == index) | (predicted == index))
        assert iou == (np.sum((true == index) & (predicted == index)) / union if union else None)
    merged = quality_of(categories, *pairs[:1])
    merged.merge(quality_of(categories, *pairs[1:]))
    assert np.array_equal(merged.compute().confusion, result.confusion)
