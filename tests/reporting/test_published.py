"""The collection of published figures."""

import pytest

from pansight.categories import BUILTIN, Categories, Category
from pansight.reporting.published import data_set_of, published_figures
from pansight.zoo.presets import released


@pytest.mark.parametrize("data", ["coco", "cityscapes", "ade20k", "mapillary"])
def test_figures_are_sorted_sourced_and_possible(data: str) -> None:
    rows = published_figures(data)
    assert rows
    assert [row.pq for row in rows] == sorted((row.pq for row in rows), reverse=True)
    for row in rows:
        assert row.data == data
        assert row.source
        assert not row.own
        if row.things is not None and row.stuff is not None:
            assert min(row.things, row.stuff) < row.pq < max(row.things, row.stuff)
        if row.sq is not None and row.rq is not None:
            assert row.rq < row.pq + 15 < row.sq + 15


def test_the_papers_of_the_four_methods_are_in_it() -> None:
    best = {(row.method, row.split): row.pq for row in reversed(published_figures("coco"))}
    assert best["YOSO", "val"] == 48.4
    assert best["Dense detections", "val"] == 37.1
    assert best["Panoptic FCN", "val"] == 43.6
    assert best["EPSNet", "val"] == 38.6
    assert best["EPSNet", "test-dev"] == 38.9


def test_it_agrees_with_the_zoo() -> None:
    for spec in released():
        if spec.method == "yoso":
            said = {row.pq for row in published_figures(spec.categories_name) if row.method == "YOSO"}
            assert {figure.pq for figure in spec.figures} <= said


def test_data_sets_are_known_by_their_categories() -> None:
    for name in BUILTIN:
        assert data_set_of(Categories.builtin(name)) == name
    assert data_set_of(Categories([Category("car", True, 1, (0, 0, 0))])) is None
    assert published_figures("scenes") == ()
    assert published_figures("COCO") == ()
