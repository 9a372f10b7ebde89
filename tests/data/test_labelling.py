"""`labelled.json`: which categories a data set labels, and which of them completely."""

import json
from pathlib import Path

import pytest

from pansight.categories import Categories
from pansight.data.labelling import find_labelling, read_labelling
from pansight.errors import DataError
from pansight.panoptic.labelling import Labelling

SCENES = Categories.builtin("scenes")


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_names_become_indices(tmp_path: Path) -> None:
    write(tmp_path / "labelled.json", {"annotated": ["car", "sky"], "complete": ["car"], "void": "a note"})
    found = find_labelling(tmp_path / "panoptic_val.json", SCENES)
    car, sky = SCENES.index("car"), SCENES.index("sky")
    assert found == Labelling(frozenset({car, sky}), frozenset({car}))
    assert find_labelling(tmp_path, SCENES) == found
    mask = found.complete_mask(len(SCENES))
    assert mask.nonzero()[0].tolist() == [car]


def test_there_need_be_none(tmp_path: Path) -> None:
    assert find_labelling(tmp_path / "panoptic_val.json", SCENES) is None


def test_complete_may_be_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "l.json", {"annotated": ["car"]})
    assert read_labelling(file, SCENES).complete == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object"),
        ({"complete": ["car"]}, '"annotated" must be a list'),
        ({"annotated": ["car", "unicorn"]}, "annotated names unicorn"),
        ({"annotated": ["sky"], "complete": ["car"]}, "car cannot be complete without being annotated"),
        ({"annotated": [1]}, "must be a list of names"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labelling(write(tmp_path / "l.json", content), SCENES)


def test_other_categories() -> None:
    """Two that become one are complete together or not at all; one without a place is gone."""
    own = Labelling(frozenset({0, 1, 2}), frozenset({0, 2}))
    moved = own.translated({0: 5, 1: 5, 2: 4, 3: None})
    assert moved == Labelling(frozenset({5, 4}), frozenset({4}))
