"""Mask AP of instances that overlap, against pycocotools, number by number."""

from collections.abc import Callable
from typing import Any

import coco_judge
import numpy as np
import pytest
from coco_judge import assert_same, numbers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.metrics.average_precision import AveragePrecisionResult
from pansight.metrics.evaluation import Evaluation
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances

pytestmark = pytest.mark.filterwarnings("ignore::pansight.metrics.remarks.EvaluationWarning")

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Pair = tuple[Instances, PanopticMap]


def instances(masks: Any, categories: Any, scores: Any) -> Instances:
    """With the boxes of the masks."""
    masks = np.asarray(masks, dtype=np.bool_)
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = np.nonzero(mask)
        if len(x):
            box[:] = x.min(), y.min(), x.max() + 1, y.max() + 1
    return Instances(
        masks, boxes, np.asarray(categories, dtype=np.int64), np.asarray(scores, dtype=np.float32)
    )


def overlapping(truth: PanopticMap, seed: int, most: int = 25) -> Instances:
    """Moved and cut copies of the objects, of their class or another, some empty, many scores equal."""
    rng = np.random.default_rng(seed)
    height, width = truth.ids.shape
    masks, categories = [], []
    for _ in range(int(rng.integers(1, most))):
        mask = np.zeros((height, width), dtype=np.bool_)
        category = int(rng.integers(2))
        things = truth.things()
        if things and rng.random() < 0.8:
            thing = things[int(rng.integers(len(things)))]
            mask |= np.roll(truth.mask(thing.id), rng.integers(-1, 2, 2), (0, 1))
            category = thing.category if rng.random() < 0.9 else category
        if rng.random() < 0.4:
            y, x = rng.integers(height), rng.integers(width)
            mask[y : y + height // 4, x : x + width // 4] = rng.random() < 0.5
        masks.append(mask)
        categories.append(category)
    return instances(masks, categories, rng.integers(0, 5, len(masks)) / 4)


def result_of(categories: Categories, *pairs: Pair) -> AveragePrecisionResult:
    evaluation = Evaluation(categories, average_precision=True, instances=True)
    for found, truth in pairs:
        evaluation.update(truth, truth, instances=found)
    result = evaluation.compute().ap
    assert result is not None
    return result


def judge(categories: Categories, *pairs: Pair) -> list[float | None]:
    """Of instances."""
    images = (
        (zip(found.masks, found.categories.tolist(), found.scores.tolist(), strict=True), truth)
        for found, truth in pairs
    )
    return coco_judge.judge(categories, images)


@settings(max_examples=60)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
    size=st.sampled_from([(24, 32), (24, 32), (100, 140)]),
)
def test_pycocotools_agrees(
    categories: Categories, make_pair: MakePair, seeds: list[int], size: tuple[int, int]
) -> None:
    pytest.importorskip("pycocotools")
    truths = [make_pair(seed, *size)[1] for seed in seeds]
    assume(any(truth.things() for truth in truths))
    pairs = [(overlapping(truth, seed), truth) for truth, seed in zip(truths, seeds, strict=True)]
    assert_same(numbers(result_of(categories, *pairs)), judge(categories, *pairs))


def a_row(categories: Categories, *runs: int) -> PanopticMap:
    """Persons side by side, so many pixels each."""
    ids = np.repeat(np.arange(1, len(runs) + 1, dtype=np.int32), runs)[None]
    return PanopticMap.from_table(ids, [(id + 1, 0) for id in range(len(runs))], categories)


def spans(width: int, *ends: tuple[int, int, float]) -> Instances:
    """Persons in a row of pixels: first, last + 1, score."""
    columns = np.arange(width)
    masks = np.zeros((len(ends), 1, width), dtype=np.bool_)
    for mask, (first, last, _) in zip(masks, ends, strict=True):
        mask[0] = (columns >= first) & (columns < last)
    return instances(masks, [0] * len(ends), [score for *_, score in ends])


@pytest.mark.parametrize(
    "found",
    [
        # the same object twice: the second one is wrong
        [(0, 8, 0.9), (0, 8, 0.8), (8, 12, 0.1)],
        # a good detection is kept from its object by a better score, at low thresholds only
        [(0, 6, 0.9), (0, 8, 0.8)],
        # one detection reaches over two objects of equal size, and takes the one listed last
        [(8, 16, 0.9), (12, 16, 0.8)],
        [(8, 16, 0.9), (8, 12, 0.8)],
        [(3, 3, 0.9), (0, 8, 0.5)],
    ],
)
def test_rivals(categories: Categories, found: list[tuple[int, int, float]]) -> None:
    pytest.importorskip("pycocotools")
    pair = (spans(16, *found), a_row(categories, 8, 4, 4))
    assert_same(numbers(result_of(categories, pair)), judge(categories, pair))


@pytest.mark.parametrize("side", [31, 32, 33, 95, 96, 97])
def test_areas_at_the_bounds(categories: Categories, side: int) -> None:
    pytest.importorskip("pycocotools")
    truth, masks = np.zeros((100, 300), np.int32), np.zeros((4, 100, 300), np.bool_)
    truth[:side, :side], truth[:side, 100 : 100 + side] = 1, 2
    masks[0, : side - 1, : side + 1] = masks[1, :side, 200 : 200 + side] = True
    masks[2, :side, :side] = masks[3, :90, 3:93] = True
    pair = (
        instances(masks, [0] * 4, [0.5, 0.9, 0.4, 0.7]),
        PanopticMap.from_table(truth, [(1, 0), (2, 0)], categories),
    )
    assert_same(numbers(result_of(categories, pair)), judge(categories, pair))


def test_more_than_a_hundred_of_a_class(categories: Categories) -> None:
    pytest.importorskip("pycocotools")
    scores = np.random.default_rng(0).integers(0, 9, 130)
    found = spans(260, *((2 * i, 2 * i + 2, float(score)) for i, score in enumerate(scores)))
    pair = (found, a_row(categories, *[2] * 130))
    ours = numbers(result_of(categories, pair))
    assert_same(ours, judge(categories, pair))
    assert ours[0] == pytest.approx(77 / 101)  # recalls up to 100 / 130


def test_a_crowd_excuses_many(categories: Categories) -> None:
    truth = PanopticMap.from_table(
        np.repeat(np.array([[1, 2]], np.int32), 10, axis=1), [(1, 0), (2, 0, None, True)], categories
    )
    found = spans(20, (0, 10, 0.1), (10, 16, 0.9), (12, 20, 0.8), (10, 20, 0.7))
    assert result_of(categories, (found, truth)).ap == pytest.approx(1.0)


def test_the_result_says_what_was_scored(categories: Categories) -> None:
    truth = a_row(categories, 4, 4)
    nothing = spans(8)
    assert result_of(categories, (nothing, truth)).to_json()["source"] == "instances"
    stuff = instances(np.ones((1, 1, 8)), [3], [0.9])
    assert numbers(result_of(categories, (stuff, truth))) == numbers(result_of(categories, (nothing, truth)))
    plain = Evaluation(categories, average_precision=True)
    assert plain.compute().to_json()["ap"]["source"] == "segments"


def test_merging_is_going_on(categories: Categories, make_pair: MakePair) -> None:
    pairs = [(overlapping(truth, seed), truth) for seed in range(4) for truth in make_pair(seed)[1:]]
    parts = []
    for some in (pairs[:2], pairs[2:]):
        parts.append(Evaluation(categories, average_precision=True, instances=True))
        for found, truth in some:
            parts[-1].update(truth, truth, instances=found)
    parts[0].merge(parts[1])
    assert parts[0].compute().ap == result_of(categories, *pairs)
    with pytest.raises(CategoryError, match="make both alike"):
        parts[0].merge(Evaluation(categories, average_precision=True))


def test_instances_where_they_are_wanted_and_nowhere_else(categories: Categories) -> None:
    truth, found = a_row(categories, 4, 4), spans(8, (0, 4, 0.5))
    taking = Evaluation(categories, average_precision=True, instances=True)
    with pytest.raises(InputError, match="frame 5: this evaluation takes instances, and none are given"):
        taking.update(truth, truth, "frame 5")
    with pytest.raises(InputError, match="COCO panoptic files hold no instances"):
        taking.update_coco(truth.ids, [], truth.ids, [])
    with pytest.raises(InputError, match="9 x 1 pixels for a map of 8 x 1"):
        taking.update(truth, truth, instances=spans(9, (0, 4, 0.5)))
    with pytest.raises(CategoryError, match=r"has category 4; .* has 0\.\.3"):
        taking.update(truth, truth, instances=instances(np.ones((1, 1, 8)), [4], [0.5]))
    assert taking.images == 0
    for other in (Evaluation(categories, average_precision=True), Evaluation(categories, instances=True)):
        with pytest.raises(InputError, match="takes no instances, and some are given"):
            other.update(truth, truth, instances=found)
