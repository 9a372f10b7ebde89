"""From a model's categories to a data set's."""

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.errors import DataProblemsError
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.translation import translate


def a_set(*names: str, things: str = "", first: int = 1) -> Categories:
    return Categories(
        Category(name, name in things.split(), first + i, (0, 0, 0)) for i, name in enumerate(names)
    )


MODEL = a_set("road", "car", "sky", "person", things="car person")


def test_order_and_ids_do_not_matter() -> None:
    data = a_set("person", "road", things="person", first=70)
    translation = translate(MODEL, data)
    assert translation.unknown == ("car", "sky")
    ids = np.array([[1, 2, 3, 9, 0]], dtype=np.int32)
    table = [(1, 0, 0.5), (2, 1, 0.6), (3, 3, 0.7), (9, 3, 0.8, True)]
    result = translation(PanopticMap.from_table(ids, table, MODEL))
    assert result.categories is data
    assert result.ids.tolist() == [[1, 0, 3, 9, 0]]
    rows = [(one.id, data[one.category].name, one.score, one.is_crowd) for one in result.segments]
    assert rows == [(1, "road", 0.5, False), (3, "person", 0.7, False), (9, "person", 0.8, True)]


def test_one_set_is_left_alone() -> None:
    panoptic = PanopticMap.from_table(np.ones((2, 2), dtype=np.int32), [(1, 2)], MODEL)
    assert translate(MODEL, MODEL)(panoptic) is panoptic
    # Other ids in files are another set, but the same order of the same names.
    moved = translate(MODEL, a_set(*MODEL.names, things="car person", first=50))(panoptic)
    assert moved.segments == panoptic.segments


def test_instances_of_unknown_categories_are_left_out() -> None:
    masks = np.arange(3)[:, None, None] == np.arange(3)[None, None]
    boxes = np.array([[i, 0, i + 1, 1] for i in range(3)], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    found = Instances(masks, boxes, np.array([3, 1, 3]), scores)
    assert translate(MODEL, MODEL).instances(found) is found
    result = translate(MODEL, a_set("person", "road", things="person")).instances(found)
    assert result.categories.tolist() == [0, 0]
    assert result.scores.tolist() == scores[[0, 2]].tolist()
    assert np.array_equal(result.masks, masks[[0, 2]]) and np.array_equal(result.boxes, boxes[[0, 2]])


def test_everything_that_does_not_fit_is_told() -> None:
    data = a_set("rode", "car", "person", "sky", things="person")
    with pytest.raises(DataProblemsError, match="choose another model") as caught:
        translate(MODEL, data)
    assert len(caught.value.problems) == 2
    assert "'rode'" in caught.value.problems[0]
    assert "'road'" in caught.value.problems[0]
    assert "'car' is stuff here, a thing" in caught.value.problems[1]
