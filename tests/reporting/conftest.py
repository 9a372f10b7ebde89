"""Small maps with known mistakes, their evaluation, and a report of it."""

from typing import Any

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.metrics.evaluation import Evaluation, EvaluationResult
from pansight.panoptic import PanopticMap
from pansight.reporting.report import Report, lost_picture

HOSTILE = "<script>alert('x')</script>&\"[bold]"


@pytest.fixture(scope="session")
def categories() -> Categories:
    """Two things, one of hostile name, two kinds of stuff, the last of which never occurs."""
    rows = [("car", True), (HOSTILE, True), ("road", False), ("sea", False)]
    return Categories(Category(name, thing, 10 + i, (40 * i, 90, 20)) for i, (name, thing) in enumerate(rows))


def a_map(categories: Categories, rows: list[tuple[int, int]], *boxes: tuple[int, int, int, int, int]) -> Any:
    """A map of 20 x 30 on road (id 99, category 2): boxes are (id, top, left, bottom, right)."""
    ids = np.full((20, 30), 99, dtype=np.int32)
    for id, top, left, bottom, right in boxes:
        ids[top:bottom, left:right] = id
    return PanopticMap.from_table(
        ids, [(99, 2, 0.9), *((id, category, 0.8) for id, category in rows)], categories
    )


@pytest.fixture(scope="session")
def pair(categories: Categories) -> tuple[PanopticMap, PanopticMap]:
    """Prediction and truth: car 1 is found inexactly, car 2 is missed, a hostile one is invented."""
    truth = a_map(categories, [(1, 0), (2, 0)], (1, 2, 2, 8, 8), (2, 2, 20, 6, 26))
    prediction = a_map(categories, [(5, 0), (6, 1)], (5, 2, 2, 8, 7), (6, 12, 10, 16, 14))
    return prediction, truth


@pytest.fixture(scope="session")
def result(categories: Categories, pair: tuple[PanopticMap, PanopticMap]) -> EvaluationResult:
    evaluation = Evaluation(categories, boundary=True, bootstrap=20, average_precision=True)
    evaluation.update(*pair, name=f"{HOSTILE}.png")
    evaluation.update(pair[1], pair[1], name="perfect.png")
    return evaluation.compute()


@pytest.fixture(scope="session")
def report(result: EvaluationResult, pair: tuple[PanopticMap, PanopticMap]) -> Report:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Report(
        subject=HOSTILE,
        data="http://example.org/data",
        result=result,
        pictures=(
            lost_picture(f"{HOSTILE}.png", image, *pair),
            lost_picture("perfect.png", None, pair[1], pair[1]),
        ),
        problems=(f"{HOSTILE}: cut short",),
        facts=(("command", f"pansight evaluate '{HOSTILE}'"),),
        planned=7,
    )
