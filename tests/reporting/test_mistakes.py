"""What went wrong, pixel by pixel."""

import numpy as np
import pytest

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.panoptic import PanopticMap
from pansight.reporting.causes import CAUSES
from pansight.reporting.mistakes import find_mistakes, listed

COLORS = {cause.key: np.array(cause.color) for cause in CAUSES}


def cause_at(picture: np.ndarray, y: int, x: int) -> str | None:
    """The cause whose colour a pixel has, None where it is gray."""
    pixel = picture[y, x].astype(int)
    if np.ptp(pixel) == 0:
        return None
    return min(
        COLORS,
        key=lambda key: float(np.abs(pixel - pixel.min() - (COLORS[key] - COLORS[key].min()) * 2 / 3).sum()),
    )


def test_every_kind_of_pixel(pair: tuple[PanopticMap, PanopticMap]) -> None:
    found = find_mistakes(None, *pair)
    assert cause_at(found.picture, 4, 22) == "missed"
    assert cause_at(found.picture, 14, 12) == "false"
    assert cause_at(found.picture, 4, 7) == "ragged"  # the column that the found car lacks
    assert cause_at(found.picture, 4, 4) is None
    assert cause_at(found.picture, 18, 1) is None
    assert found.missed == (("car", 1),)
    assert [count for _, count in found.false] == [1]


def test_agreement_is_gray(pair: tuple[PanopticMap, PanopticMap]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    found = find_mistakes(image, pair[1], pair[1])
    assert (found.picture == found.picture[:, :, :1]).all()
    assert (found.missed, found.false) == ((), ())


def test_wrong_category_and_merged(categories: Categories) -> None:
    ids = np.zeros((10, 40), dtype=np.int32)
    ids[:, :10], ids[:, 10:20], ids[:, 20:] = 1, 2, 3
    truth = PanopticMap.from_table(ids, [(1, 0), (2, 0), (3, 1)], categories)
    joined = np.where(ids == 2, 1, ids)
    prediction = PanopticMap.from_table(joined, [(1, 0), (3, 2)], categories)
    picture = find_mistakes(None, prediction, truth).picture
    assert cause_at(picture, 5, 5) == cause_at(picture, 5, 15) == "merged"
    assert cause_at(picture, 5, 30) == "wrong_class"


def test_void_and_crowd_of_the_truth_are_gray(categories: Categories) -> None:
    ids = np.repeat(np.array([[0, 1, 2]], dtype=np.int32), 30, axis=1).reshape(1, 90).repeat(4, axis=0)
    truth = PanopticMap.from_table(ids, [(1, 0, None, True), (2, 2)], categories)
    prediction = PanopticMap.from_table(
        np.where(ids == 2, 2, 7).astype(np.int32), [(2, 2), (7, 0)], categories
    )
    found = find_mistakes(None, prediction, truth)
    assert np.ptp(found.picture.astype(int), axis=2).max() == 0
    assert found.false == ()


def test_sizes_must_agree(pair: tuple[PanopticMap, PanopticMap], categories: Categories) -> None:
    small = PanopticMap.from_table(np.ones((5, 5), dtype=np.int32), [(1, 0)], categories)
    with pytest.raises(InputError, match="predict at the size of the truth"):
        find_mistakes(None, small, pair[1])


def test_lists_for_people() -> None:
    assert listed([("car", 3), ("person", 1)]) == "3 car, person"
    assert listed([("a", 4), ("b", 3), ("c", 2)], most=1) == "4 a and 5 more"
    assert listed([]) == ""
