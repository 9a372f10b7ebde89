"""How the files will be called."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.datatools.preparing.plan import plan_cityscapes, plan_panoptic, png_names
from pansight.errors import CategoryError, DataError


def test_id_pictures_are_called_like_the_pictures(make_truths: Callable[..., Any]) -> None:
    plan = plan_panoptic(make_truths(2), Path("out"), "panoptic_val")
    assert plan.table == Path("out/panoptic_val.json")
    assert plan.pictures == Path("out/panoptic_val")
    assert [(entry.image_id, entry.image, entry.panoptic) for entry in plan.entries] == [
        (100, "p0.jpg", "p0.png"),
        (101, "p1.jpg", "p1.png"),
    ]


def test_names_that_would_be_alike_keep_their_ending() -> None:
    assert png_names(["a/x.jpg", "b/x.jpg", "y.jpg", "Y.png", "z"]) == [
        "a/x.png",
        "b/x.png",
        "y.jpg.png",
        "Y.png.png",
        "z.png",
    ]
    assert png_names(["x.jpg", "x.jpg"]) == ["x.jpg.png", "x.jpg_2.png"]


@given(st.lists(st.text(st.sampled_from("abA./\\:\0é"), max_size=8), max_size=8))
def test_names_are_different_and_stay_below_the_folder(names: list[str]) -> None:
    made = png_names(names)
    assert len({name.casefold() for name in made}) == len(names)
    for name in made:
        path = PurePosixPath(name)
        assert path.suffix == ".png" and not path.is_absolute() and ".." not in path.parts
        assert "\\" not in name and ":" not in name and "\0" not in name


def test_two_pictures_with_one_id_are_refused(make_truths: Callable[..., Any]) -> None:
    truths = make_truths(3)
    truths.image_ids = [1, 2, 1]
    with pytest.raises(DataError, match="two images have the id 1"):
        plan_panoptic(truths, Path("out"), "x")


@pytest.fixture
def cityscapes(make_truths: Callable[..., Any]) -> Any:
    source = make_truths(1)
    source.categories = Categories.builtin("cityscapes")
    source.image_ids = ["aachen_000000_000019"]
    source.names = ["aachen/aachen_000000_000019_leftImg8bit.png"]
    return source


def test_cityscapes_files_are_called_as_the_official_ones(cityscapes: Any) -> None:
    plan = plan_cityscapes(cityscapes, Path("out"), "val")
    assert (plan.name, plan.official) == ("cityscapes_panoptic_val", True)
    (entry,) = plan.entries
    assert entry.image_id == "aachen_000000_000019"
    assert entry.image == "aachen_000000_000019_gtFine_leftImg8bit.png"
    assert entry.panoptic == "aachen_000000_000019_gtFine_panoptic.png"
    assert plan.categories.dataset_ids.tolist()[:3] == [7, 8, 11]
    trained = plan_cityscapes(cityscapes, Path("out"), "val", train_ids=True)
    assert trained.name == "cityscapes_panoptic_val_trainId"
    assert trained.categories.dataset_ids.tolist() == list(range(19))
    assert trained.categories.names == plan.categories.names


def test_cityscapes_files_have_the_official_classes(make_truths: Callable[..., Any]) -> None:
    with pytest.raises(CategoryError, match="own 19 categories"):
        plan_cityscapes(make_truths(1), Path("out"), "val")


def test_half_characters_of_a_json_are_replaced() -> None:
    assert png_names(["\ud800a.jpg", "b\0:c.jpg", "\udc80.jpg"]) == ["_a.png", "b__c.png", "\udc80.png"]
