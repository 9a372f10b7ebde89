"""Classes are found by name in other sets, and never by a guess."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import BUILTIN, Categories
from pansight.data.class_names import find_name, match_categories
from pansight.errors import DataProblemsError


def named(*names: str, things: int = 0) -> Categories:
    rows = [{"id": 10 * i, "name": name, "isthing": int(i < things)} for i, name in enumerate(names)]
    return Categories.from_json(rows, name="own")


def found(name: str, wanted: str) -> str | None:
    categories = Categories.builtin(wanted)
    place = find_name(name, categories)
    return None if place is None else categories.names[place]


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("traffic_light", "cityscapes", "traffic light"),
        ("Traffic-Light", "cityscapes", "traffic light"),
        ("trafficlight", "cityscapes", "traffic light"),
        ("motorbike", "cityscapes", "motorcycle"),
        ("pavement-merged", "cityscapes", "sidewalk"),
        ("sky-other-merged", "cityscapes", "sky"),
        ("wall", "coco", "wall-other-merged"),
        ("water", "coco", "water-other"),
        ("tv", "coco", "tv"),
        ("tvmonitor", "coco", "tv"),
        ("building, edifice", "ade20k", "building"),
        ("windowpane", "ade20k", "window"),
        ("ashcan", "ade20k", "trash can"),
        # two categories have this word; it is the first word of one
        ("screen, silver screen, projection screen", "ade20k", "screen"),
        ("screen door", "ade20k", "screen door, screen"),
        ("person, individual, someone, somebody, mortal, soul", "ade20k", "person"),
        ("animal--bird", "mapillary", "Bird"),
        ("construction--flat--crosswalk-plain", "mapillary", "Crosswalk - Plain"),
        ("marking--crosswalk-zebra", "mapillary", "Lane Marking - Crosswalk"),
        ("object--traffic-sign--front", "mapillary", "Traffic Sign (Front)"),
        ("void--unlabeled", "mapillary", None),
        ("", "coco", None),
        ("---", "coco", None),
        ("persom", "coco", None),
        ("stuff", "coco", None),
        ("traffic", "cityscapes", None),
    ],
)
def test_spellings(name: str, wanted: str, expected: str | None) -> None:
    assert found(name, wanted) == expected


def test_signs_tell_names_apart() -> None:
    assert find_name("C++", named("C", "car")) is None
    assert find_name("c ++", named("C", "C++")) == 1
    assert find_name("crack > 2 mm", named("crack < 2 mm", "dent")) is None


def test_what_fits_two_categories_fits_none() -> None:
    assert find_name("sky", named("sky-other", "sky-merged")) is None
    assert find_name("SKY", named("sky", "Sky")) is None
    # the stricter spelling decides
    assert find_name("Sky", named("sky", "Sky")) == 1
    assert find_name("sky", named("sky-other", "sky")) == 1


@given(st.sampled_from(BUILTIN), st.sampled_from([str, str.upper, lambda name: name.replace(" ", "_")]))
def test_every_set_is_found_in_itself(name: str, spelled: object) -> None:
    assert callable(spelled)
    categories = Categories.builtin(name)
    for place, category in enumerate(categories):
        assert find_name(spelled(category.name), categories) == place


def test_a_match_says_where_each_category_is() -> None:
    own = named("Bike", "person", "sky-other", things=2)
    assert match_categories(own, Categories.builtin("cityscapes"), "x.json") == {0: 18, 1: 11, 2: 10}


def test_everything_that_does_not_fit_is_listed_with_the_nearest_name() -> None:
    own = named("persom", "motorbike", "motorcycle", "rode", "car", things=4)
    with pytest.raises(DataProblemsError) as caught:
        match_categories(own, Categories.builtin("cityscapes"), "x.json")
    assert caught.value.summary == "x.json: its categories do not fit cityscapes:"
    assert caught.value.problems == [
        "x.json: no category 'persom' in cityscapes; did you mean 'person'?",
        "x.json: 'motorbike' and 'motorcycle' are both 'motorcycle' in cityscapes; rename one",
        "x.json: no category 'rode' in cityscapes; did you mean 'road'?",
        "x.json: 'car' is stuff here, a thing in cityscapes",
    ]
    with pytest.raises(DataProblemsError, match="no category 'a' in own; the set is empty"):
        match_categories(named("a"), named(), "x.json")


def test_the_names_that_ade20k_is_distributed_with(shared_data: Path) -> None:
    lines = (shared_data / "data/formats/ade20k_challenge2016/objectInfo150.txt").read_text().splitlines()[1:]
    listed = named(*(line.split("\t")[4].strip() for line in lines))
    short = Categories.from_file(shared_data / "data/formats/ade20k_full_2021_panoptic/panoptic_train.json")
    ours = Categories.builtin("ade20k")
    for own, wanted in ((listed, ours), (ours, listed), (short, ours), (short, listed), (ours, short)):
        assert [find_name(name, wanted) for name in own.names] == list(range(150))
