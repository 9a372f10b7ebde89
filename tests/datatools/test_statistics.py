"""Statistics of a data set: counted right, merged, drawn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.datatools.statistics import LARGE, SMALL, Statistics, gather_statistics, summary
from pansight.datatools.statistics_chart import statistics_chart
from pansight.errors import DataError
from pansight.panoptic import PanopticMap

CATEGORIES = Categories.from_json(
    [
        {"id": 7, "name": "cat", "isthing": 1, "color": [255, 0, 0]},
        {"id": 9, "name": "sky", "isthing": 0, "color": [0, 0, 255]},
        {"id": 11, "name": "sea", "isthing": 0, "color": [0, 255, 255]},
    ]
)


def panoptic() -> PanopticMap:
    ids = np.zeros((100, 200), np.int32)
    ids[:50] = 5
    ids[60:70, :10], ids[60:90, 20:70], ids[95:, :20] = 1, 2, 3
    return PanopticMap.from_table(ids, [(5, 1), (1, 0), (2, 0), (3, 0, None, True)], CATEGORIES)


class Fixed:
    """A data set of equal maps."""

    categories = CATEGORIES

    def __init__(self, count: int) -> None:
        self.names: list[str] = [f"{number}.jpg" for number in range(count)]
        self.image_ids: list[int | str] = list(range(count))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        raise DataError("pictures stay closed")

    def truth(self, index: int) -> PanopticMap:
        return panoptic()


def test_counts() -> None:
    statistics = gather_statistics(Fixed(3))
    cat, sky, sea = statistics.classes()
    assert (cat.segments, cat.pictures, cat.crowd, cat.pixels) == (6, 3, 3, 3 * (100 + 1500 + 100))
    assert (cat.small, cat.medium, cat.large) == (3, 3, 0)
    assert (sky.segments, sky.large, sky.pixels, sky.mean_area) == (3, 3, 30_000, 10_000)
    assert (sea.segments, sea.pictures, sea.mean_area) == (0, 0, None)
    assert statistics.void_share == pytest.approx(1 - (10_000 + 1700) / 20_000)
    assert statistics.sizes == {(200, 100): 3} and statistics.segments_a_picture == {4: 3}
    assert statistics.things_a_picture == {3: 3} and statistics.empty == 0
    content = statistics.to_json()
    assert content["classes"]["7"]["segments"] == 6 and content["crowds"] == 3
    assert content["sizes"] == [{"width": 200, "height": 100, "pictures": 3}]


def test_sizes_are_those_of_coco() -> None:
    assert (SMALL, LARGE) == (1024, 9216)
    for area, column in ((1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")):
        ids = np.zeros((1, 10_000), np.int32)
        ids[0, :area] = 1
        statistics = Statistics(CATEGORIES)
        statistics.update(PanopticMap.from_table(ids, [(1, 0)], CATEGORIES))
        assert getattr(statistics.classes()[0], column) == 1


def test_empty_maps_count_as_empty() -> None:
    statistics = Statistics(CATEGORIES)
    statistics.update(PanopticMap.from_table(np.zeros((4, 5), np.int32), [], CATEGORIES))
    assert statistics.empty == 1 and statistics.void_share == 1.0
    assert statistics_chart(statistics).ndim == 3


def test_processes_count_the_same() -> None:
    source = Fixed(5)
    alone = gather_statistics(source)
    steps: list[tuple[int, int]] = []
    shared = gather_statistics(source, workers=2, progress=lambda *step: steps.append(step))
    assert shared.to_json() == alone.to_json() and alone.pictures == 5
    assert steps[-1] == (5, 5) and steps == sorted(steps)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_summary(values: list[int]) -> None:
    from collections import Counter

    found = summary(Counter(values))
    assert (found["min"], found["max"]) == (min(values), max(values))
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["median"] == sorted(values)[(len(values) - 1) // 2]


def test_the_chart_has_a_bar_in_the_colour_of_each_class_that_occurs() -> None:
    chart = statistics_chart(gather_statistics(Fixed(1)))
    colors = {tuple(color) for color in chart.reshape(-1, 3).tolist()}
    assert (255, 0, 0) in colors and (0, 0, 255) in colors and (0, 255, 255) not in colors
