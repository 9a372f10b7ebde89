"""Bar charts."""

import numpy as np
import pytest

from pansight.drawing.bars import Bar, bar_chart
from pansight.errors import InputError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def length(chart: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((chart == color).all(axis=2).any(axis=0).sum())


def test_lengths_follow_values() -> None:
    chart = bar_chart([Bar("a", 10, "10", RED), Bar("b", 5, "5", BLUE)], "title", length=200)
    assert length(chart, RED) == pytest.approx(200, abs=3)
    assert length(chart, BLUE) == pytest.approx(100, abs=3)


def test_logarithmic_lengths() -> None:
    bars = [Bar("a", 999_999, "", RED), Bar("b", 999, "", BLUE)]
    chart = bar_chart(bars, "title", length=200, logarithmic=True)
    assert length(chart, BLUE) == pytest.approx(100, abs=3)


def test_values_of_nothing() -> None:
    chart = bar_chart([Bar("zero", 0, "0", RED), Bar("HEADING")], "title")
    assert length(chart, RED) == 0 and chart.dtype == np.uint8


def test_long_names_and_many_bars_fit() -> None:
    bars = [Bar("a very long name of a category that goes on" * 3, 1, "1", RED)] * 100
    chart = bar_chart(bars, "title", size=12)
    assert chart.shape[1] < 12 * 14 + 320 + 120


@pytest.mark.parametrize("bars", [[], [Bar("a", -1)], [Bar("a", float("nan"))]])
def test_refuses(bars: list[Bar]) -> None:
    with pytest.raises(InputError):
        bar_chart(bars, "title")
