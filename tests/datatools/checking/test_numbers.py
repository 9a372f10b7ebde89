"""Numbers as JSON files hold them."""

import math
from typing import Any

import pytest

from pansight.datatools.checking.numbers import measure, whole


@pytest.mark.parametrize(
    ("value", "expected", "faulty"),
    [
        (7, 7, False),
        (7.0, 7, True),
        (7.5, None, True),
        ("7", 7, True),
        (" 7 ", 7, True),
        ("seven", None, True),
        (math.nan, None, True),
        (math.inf, None, True),
        (True, None, True),
        (None, None, True),
        ([7], None, True),
        (1 << 80, 1 << 80, False),
    ],
)
def test_whole_numbers(value: Any, expected: int | None, faulty: bool) -> None:
    number = whole(value)
    assert number.value == expected and bool(number.fault) == faulty


def test_flags_may_be_true() -> None:
    assert whole(True, flag=True) == (1, "") and whole(False, flag=True) == (0, "")


def test_measures_need_not_be_whole() -> None:
    assert measure(20.0) == (20.0, "") and measure(3) == (3.0, "")
    assert measure("20")[0] == 20.0 and measure("20")[1]
    assert measure(math.nan)[0] is None and measure(None)[0] is None and measure(True)[0] is None
