"""Panoptic quality by size: what belongs where, and that nothing is lost or counted twice."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics import PanopticQuality
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.metrics.sizes import COCO_SIZES, RELATIVE_SIZES, SizeBounds, SizeQuality, SizesResult
from pansight.panoptic import PanopticMap

pytestmark = pytest.mark.filterwarnings("ignore::pansight.metrics.EvaluationWarning")

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]


def result_of(
    categories: Categories, bounds: SizeBounds, *pairs: tuple[PanopticMap, PanopticMap]
) -> SizesResult:
    quality = SizeQuality(categories, bounds)
    for prediction, truth in pairs:
        quality.add(match_maps(prediction, truth, categories, "x", False, Remarks()))
    return quality.compute(len(pairs))


def test_bounds() -> None:
    areas = np.array([1, 1023, 1024, 9215, 9216, 10**6])
    assert COCO_SIZES.of(areas, 307_200).tolist() == [0, 0, 1, 1, 2, 2]
    # The relative bounds are COCO's in a picture of 640 x 480, and grow with the picture.
    assert RELATIVE_SIZES.of(areas, 640 * 480).tolist() == [0, 0, 1, 1, 2, 2]
    assert RELATIVE_SIZES.of(4 * areas, 4 * 640 * 480).tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(InputError, match="do not ascend"):
        SizeBounds(100, 100)


def test_truth_decides_but_for_false_alarms(categories: Categories) -> None:
    # True persons of 4 (missed) and 30 pixels; the latter found by a prediction of 20. A false car of 5.
    truth = np.zeros((6, 10), np.int32)
    truth[0, :4] = 1
    truth[2:5] = 2
    truth[5] = 3
    prediction = np.zeros((6, 10), np.int32)
    prediction[2:4] = 4
    prediction[5, :5] = 5
    prediction[5, 5:] = 6
    pair = (
        PanopticMap.from_table(prediction, [(4, 0), (5, 1), (6, 3)], categories),
        PanopticMap.from_table(truth, [(1, 0), (2, 0), (3, 3)], categories),
    )
    result = result_of(categories, SizeBounds(5, 20), pair)
    table = [
        [(one.tp, one.fp, one.fn) for one in quality.classes]
        for quality in (result.small, result.medium, result.large)
    ]
    # The true tree has 10 pixels, and 5 of them are no match.
    assert table == [
        [(0, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0)],
        [(0, 0, 0), (0, 1, 0), (0, 0, 0), (0, 1, 1)],
        [(1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)],
    ]
    assert result.large.classes[0].iou == 20 / 30
    assert result.small.stuff is None
    form = result.to_json()
    assert form["bounds"] == {"medium_from": 5, "large_from": 20, "relative": False}
    assert form["large"]["all"]["pq"] == 20 / 30 and form["large"]["stuff"] is None


@settings(max_examples=50)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
    bounds=st.tuples(st.integers(1, 60), st.integers(1, 200)),
)
def test_sizes_partition_the_counts(
    categories: Categories, make_pair: MakePair, seeds: list[int], bounds: tuple[int, int]
) -> None:
    pairs = [make_pair(seed) for seed in seeds]
    result = result_of(categories, SizeBounds(bounds[0], bounds[0] + bounds[1]), *pairs)
    quality = PanopticQuality(categories)
    for prediction, truth in pairs:
        quality.update(prediction, truth)
    for index, whole in enumerate(quality.compute().classes):
        parts = [one.classes[index] for one in (result.small, result.medium, result.large)]
        assert whole.tp == sum(one.tp for one in parts)
        assert whole.fp == sum(one.fp for one in parts)
        assert whole.fn == sum(one.fn for one in parts)
        assert whole.iou == pytest.approx(sum(one.iou for one in parts), abs=1e-12)
