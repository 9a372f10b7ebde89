"""Class maps: read, applied in either direction, and proposed."""

from pathlib import Path

import pytest

from pansight.categories import Categories, Category
from pansight.data.class_maps import (
    categories_of,
    class_map,
    correspond,
    matched,
    proposed,
    read_class_map,
    to_yaml,
)
from pansight.errors import DataError


def categories(name: str, things: str, stuff: str) -> Categories:
    rows = [(word, True) for word in things.split()] + [(word, False) for word in stuff.split()]
    return Categories([Category(w, t, i + 1, (i, i, i)) for i, (w, t) in enumerate(rows)], name)


MODEL = categories("model", "person car truck", "sky building sidewalk")
DATA = categories("data", "pedestrian automobile", "sky house pavement pole")


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("person: pedestrian\ncar: null\nsky: sky\nbuilding: [house, pole]\n", encoding="utf-8")
    assert read_class_map(file) == {
        "person": ("pedestrian",),
        "car": (),
        "sky": ("sky",),
        "building": ("house", "pole"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n", "needs lines"), ("a: {b: c}\n", "must be names or null"), ("a: [\n", "is not valid YAML")],
)
def test_nonsense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_class_map(file)
    with pytest.raises(DataError, match="cannot read"):
        read_class_map(tmp_path / "absent.yaml")


def test_data_to_model() -> None:
    mapping = class_map({"person": "pedestrian", "building": ["house", "pole"], "dragon": "wyrm"}, "here")
    found = correspond(mapping, MODEL, DATA)
    assert found.places == {0: 0, 1: None, 2: None, 3: 4, 4: None, 5: 4}
    assert found.remark() == "the class map names dragon, wyrm, which neither side has; ignored"
    assert found.unmatched_data(DATA) == ["automobile", "sky", "pavement"]
    assert found.unmatched_model(MODEL) == ["car", "truck", "sky", "sidewalk"]


def test_by_name_without_a_map() -> None:
    found = correspond(None, MODEL, DATA)
    assert found.places[2] == MODEL.index("sky") and found.remark() is None


def test_one_of_the_datas_cannot_be_two_of_the_models() -> None:
    mapping = class_map({"car": "automobile", "truck": "automobile"}, "here")
    with pytest.raises(DataError, match="gives 'automobile' to 'car' and to 'truck'"):
        correspond(mapping, MODEL, DATA)
    # but several of the model's are scored as one of the data's
    assert matched(mapping, MODEL, DATA)[0] == [(1, 1), (2, 1)]


def test_two_lines_for_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("person: pedestrian\nperson: house\n")
    with pytest.raises(DataError, match=r"'person' has two lines; join them as a list, \[a, b\]"):
        read_class_map(file)


def test_categories_of_a_map() -> None:
    mapping = class_map({"walker": "pedestrian", "structure": ["house", "pole"], "none": None}, "here")
    made = categories_of(mapping, DATA)
    assert [(one.name, one.is_thing) for one in made] == [("walker", True), ("structure", False)]
    # where objects and surfaces become one, objects cannot be told apart any more
    made = categories_of(class_map({"x": ["pedestrian", "sky"]}, "here"), DATA)
    assert [(one.name, one.is_thing) for one in made] == [("x", False)]
    with pytest.raises(DataError, match="names none of "):
        categories_of(class_map({"x": "y"}, "here"), DATA)


def test_a_proposal_is_a_map(tmp_path: Path) -> None:
    found = proposed(MODEL, DATA)
    assert found["sky"] == "sky" and found["person"] == "pedestrian" and found["sidewalk"] == "pavement"
    file = tmp_path / "map.yaml"
    file.write_text(to_yaml(found, ["model : data"]), encoding="utf-8")
    assert read_class_map(file) == {name: () if to is None else (to,) for name, to in found.items()}
    assert file.read_text(encoding="utf-8").startswith("# model : data\n")


def test_things_answer_to_things() -> None:
    other = categories("other", "sky", "person")
    assert set(proposed(MODEL, other).values()) == {None}
