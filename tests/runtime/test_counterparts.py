"""In which categories a model is scored on a data set with other names or gaps."""

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.data.class_maps import class_map
from pansight.errors import DataError, DataProblemsError
from pansight.panoptic import PanopticMap
from pansight.panoptic.labelling import Labelling
from pansight.runtime.counterparts import counterparts


def categories(name: str, things: str, stuff: str) -> Categories:
    rows = [(word, True) for word in things.split()] + [(word, False) for word in stuff.split()]
    return Categories([Category(w, t, i + 1, (i, i, i)) for i, (w, t) in enumerate(rows)], name)


MODEL = categories("model", "window car", "building sky water")
DATA = categories("data", "car bike", "house sky road")
MAP = class_map({"building": "house", "window": "house", "car": "car", "sky": "sky", "ghost": "road"}, "map")


def test_left_out_by_default() -> None:
    found = counterparts(MODEL, DATA, mapping=MAP)
    assert found.scored.names == ("car", "house", "sky")
    assert found.left_out_data == ("bike", "road") and found.left_out_model == ("water",)
    assert any("ghost" in note and "ignored" in note for note in found.notes)
    # windows and building become one region
    ids = np.array([[1, 2, 3, 4]], dtype=np.int32)
    said = PanopticMap.from_table(ids, [(1, 0), (2, 2), (3, 4), (4, 1)], MODEL)
    moved = found.translation()(said)
    assert moved.ids.tolist() == [[1, 1, 0, 4]]
    assert [found.scored.names[one.category] for one in moved.segments] == ["house", "car"]


def test_counted_on_demand() -> None:
    found = counterparts(MODEL, DATA, mapping=MAP, unmatched="count")
    assert found.scored.names == ("car", "bike", "house", "sky", "road", "water")
    assert found.left_out_data == () == found.left_out_model
    assert found.of_data[DATA.index("road")] == 4 and found.of_model[MODEL.index("water")] == 5


def test_only_what_is_annotated() -> None:
    labelling = Labelling(frozenset({DATA.index("car"), DATA.index("sky")}), frozenset())
    found = counterparts(MODEL, DATA, labelling=labelling)
    assert found.scored.names == ("car", "sky")
    assert found.notes[0] == "2 of 5 categories are annotated here (labelled.json)"
    assert found.of_data[DATA.index("house")] is None


def test_without_a_map_the_annotated_ones_must_fit() -> None:
    labelling = Labelling(frozenset({DATA.index("house")}), frozenset())
    with pytest.raises(DataProblemsError, match="--map"):
        counterparts(MODEL, DATA, labelling=labelling)


def test_several_of_the_datas_are_scored_as_one() -> None:
    mapping = class_map({"car": ["car", "bike"]}, "map")
    found = counterparts(MODEL, DATA, mapping=mapping)
    assert found.scored.names == ("car",)
    assert found.of_data[0] == found.of_data[1] == 0 == found.of_model[MODEL.index("car")]


def test_nothing_in_common() -> None:
    with pytest.raises(DataError, match="share no labelled category"):
        counterparts(MODEL, DATA, mapping=class_map({"car": None}, "map"))


def test_remarks_stay_one_line() -> None:
    parts = " ".join(f"part{k}" for k in range(90))
    data = categories("data", f"{parts} car", "")
    found = counterparts(categories("model", "car", ""), data, mapping=class_map({"car": "car"}, "map"))
    assert len(found.left_out_data) == 90
    assert any("part7 and 82 more; left out" in note for note in found.notes)
