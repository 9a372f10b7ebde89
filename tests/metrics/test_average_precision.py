"""Mask AP against pycocotools, number by number."""

from collections.abc import Callable

import coco_judge
import numpy as np
import pytest
from coco_judge import assert_same, numbers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.metrics.average_precision import AveragePrecision
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Pair = tuple[PanopticMap, PanopticMap]


def precision_of(categories: Categories, *pairs: Pair) -> AveragePrecision:
    precision = AveragePrecision(categories)
    for prediction, truth in pairs:
        precision.add(match_maps(prediction, truth, categories, "frame 5", False, Remarks()))
    return precision


def judge(categories: Categories, *pairs: Pair) -> list[float | None]:
    """Of the things of predicted maps."""
    images = (
        ([(predicted.mask(s.id), s.category, s.score) for s in predicted.things()], truth)
        for predicted, truth in pairs
    )
    return coco_judge.judge(categories, images)


@settings(max_examples=60)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    size=st.sampled_from([(24, 32), (24, 32), (100, 140), (260, 300)]),
)
def test_pycocotools_agrees(
    categories: Categories, make_pair: MakePair, seeds: list[int], size: tuple[int, int]
) -> None:
    pytest.importorskip("pycocotools")
    pairs = [make_pair(seed, *size) for seed in seeds]
    # pycocotools does not load an empty list.
    assume(any(prediction.things() for prediction, _ in pairs))
    assert_same(numbers(precision_of(categories, *pairs).compute()), judge(categories, *pairs))


def stripes(categories: Categories, *runs: tuple[int, float | None]) -> PanopticMap:
    """One row of persons: (pixels, score); void where the score is negative."""
    ids = np.concatenate(
        [np.full(count, i + 1 if score is None or score >= 0 else 0) for i, (count, score) in enumerate(runs)]
    )
    return PanopticMap.from_table(
        ids[None].astype(np.int32), [(i + 1, 0, score) for i, (_, score) in enumerate(runs)], categories
    )


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        # Two objects are the halves of a detection, or two detections those of an object: an IoU of 0.5.
        ([(4, None), (4, None), (4, None)], [(8, 0.5), (4, 0.7)]),
        ([(8, None), (4, None)], [(4, 0.2), (4, 0.9), (4, 0.5)]),
        ([(8, None), (4, None)], [(4, 0.5), (4, 0.5), (4, 0.5)]),
        # An IoU of exactly 0.75, and void under a detection, which excuses nothing.
        ([(4, None), (4, -1)], [(3, 0.5), (5, 0.4)]),
        ([(4, None), (8, -1)], [(4, 0.5), (8, 0.9)]),
        ([(12, None)], [(6, 0.5), (6, -1)]),
    ],
)
def test_hand_made_ties(
    categories: Categories,
    truth: list[tuple[int, float | None]],
    prediction: list[tuple[int, float | None]],
) -> None:
    pytest.importorskip("pycocotools")
    pair = (stripes(categories, *prediction), stripes(categories, *truth))
    assert_same(numbers(precision_of(categories, pair).compute()), judge(categories, pair))


@pytest.mark.parametrize("side", [31, 32, 33, 95, 96, 97])
def test_areas_at_the_bounds(categories: Categories, side: int) -> None:
    pytest.importorskip("pycocotools")
    # One object is hit by a detection of another size, one missed; a third detection is false.
    truth, prediction = np.zeros((100, 300), np.int32), np.zeros((100, 300), np.int32)
    truth[:side, :side] = 1
    truth[:side, 100 : 100 + side] = 2
    prediction[: side - 1, : side + 1] = 1
    prediction[:side, 200 : 200 + side] = 2
    pair = (
        PanopticMap.from_table(prediction, [(1, 0, 0.5), (2, 0, 0.9)], categories),
        PanopticMap.from_table(truth, [(1, 0), (2, 0)], categories),
    )
    assert_same(numbers(precision_of(categories, pair).compute()), judge(categories, pair))


def test_more_than_a_hundred_detections(categories: Categories) -> None:
    pytest.importorskip("pycocotools")
    truth = stripes(categories, *[(2, None)] * 130)
    rng = np.random.default_rng(0)
    prediction = stripes(categories, *[(2, float(score)) for score in rng.integers(0, 9, 130)])
    ours = numbers(precision_of(categories, (prediction, truth)).compute())
    assert_same(ours, judge(categories, (prediction, truth)))
    assert ours[0] == pytest.approx(77 / 101)  # recalls up to 100 / 130


def test_a_crowd_excuses(categories: Categories) -> None:
    ids = np.array([[1] * 10 + [2] * 10], np.int32)
    truth = PanopticMap.from_table(ids, [(1, 0), (2, 0, None, True)], categories)
    prediction = PanopticMap.from_table(
        np.array([[1] * 10 + [2] * 5 + [3] * 5], np.int32),
        [(1, 0, 0.1), (2, 0, 0.9), (3, 0, 0.8)],
        categories,
    )
    result = precision_of(categories, (prediction, truth)).compute()
    assert result is not None and result.ap == pytest.approx(1.0)
    assert result.classes[1] is None and result.medium is None
    assert result.to_json()["classes"].keys() == {"1", "3"}


def test_perfect(categories: Categories, make_pair: MakePair) -> None:
    prediction, _ = make_pair(3)
    result = precision_of(categories, (prediction, prediction)).compute()
    assert result is not None
    assert result.ap == pytest.approx(1.0) and result.ap75 == pytest.approx(1.0)
    assert numbers(AveragePrecision(categories).compute()) == [None] * 10


def test_a_missing_score_is_said(categories: Categories) -> None:
    truth = stripes(categories, (4, None), (4, None))
    lacking = precision_of(categories, (truth, truth))
    assert lacking.compute() is None
    assert lacking.remark == (
        "left out: 2 predicted things have no score (segment 1 of frame 5); write a score with each"
    )
    scored = stripes(categories, (4, 0.5), (4, 0.5))
    both = precision_of(categories, (scored, truth))
    assert both.compute() is not None and both.remark == ""
    both.merge(lacking)
    assert both.compute() is None and both.remark == lacking.remark
    # Stuff needs none.
    tree = PanopticMap.from_table(np.ones((2, 2), np.int32), [(1, 3)], categories)
    assert numbers(precision_of(categories, (tree, tree)).compute())[0] is None


@settings(max_examples=30)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=5), cut=st.integers(0, 4))
def test_merging_is_going_on(categories: Categories, make_pair: MakePair, seeds: list[int], cut: int) -> None:
    pairs = [make_pair(seed) for seed in seeds]
    merged = precision_of(categories, *pairs[:cut])
    merged.merge(precision_of(categories, *pairs[cut:]))
    assert merged.compute() == precision_of(categories, *pairs).compute()
