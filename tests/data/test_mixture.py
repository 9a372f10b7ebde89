"""Mixtures: fixed shares, nothing lost, the same in every process."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories, Category
from pansight.data.mixture import BLOCK, Joint, Member, Mixture
from pansight.data.relabelled import Relabelled, translated
from pansight.errors import DataError
from pansight.panoptic import PanopticMap
from pansight.panoptic.labelling import Labelling, only_categories
from pansight.panoptic.sample import Sample

HERE = Categories(
    [
        Category("tree", False, 1, (0, 255, 0)),
        Category("car", True, 2, (0, 0, 255)),
        Category("van", True, 3, (0, 0, 200)),
        Category("bush", False, 4, (0, 200, 0)),
    ],
    "here",
)
THERE = Categories(
    [Category("vehicle", True, 1, (0, 0, 255)), Category("vegetation", False, 2, (0, 255, 0))], "there"
)
PLACES = {0: 1, 1: 0, 2: 0, 3: 1}


class Toy:
    """Two rows: a tree over a car, in `length` samples whose image says which they are."""

    categories = HERE

    def __init__(self, length: int) -> None:
        self.length = length

    @property
    def names(self) -> list[str]:
        return [f"{index}.png" for index in range(self.length)]

    @property
    def image_ids(self) -> list[int]:
        return list(range(self.length))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        image = np.full((2, 4, 3), index, dtype=np.uint8)
        return Sample(image, self.truth(index), index, f"{index}.png")

    def truth(self, index: int) -> PanopticMap:
        ids = np.array([[1, 1, 4, 4], [2, 3, 3, 0]], dtype=np.int32)
        return PanopticMap.from_table(ids, [(1, 0), (2, 1), (3, 2), (4, 3)], HERE)


def member(name: str, length: int, weight: float) -> Member:
    return Member(name, Toy(length), weight, dict(enumerate(range(4))))


def test_categories_are_joined_renamed_and_dropped() -> None:
    """Stuff that becomes one category is one segment; things stay apart; what has no place is void."""
    own = Toy(1).truth(0)
    moved = translated(own, PLACES, THERE)
    assert [(one.category, one.area) for one in moved.segments] == [(1, 4), (0, 1), (0, 2)]
    assert moved.ids.tolist() == [[1, 1, 1, 1], [2, 3, 3, 0]]
    dropped = translated(own, {**PLACES, 2: None}, THERE)
    assert dropped.ids.tolist() == [[1, 1, 1, 1], [2, 0, 0, 0]]
    assert translated(own, dict(enumerate(range(4))), HERE) is own


def test_relabelled_data_is_a_data_set() -> None:
    labelling = Labelling(frozenset({0}), frozenset({0}))
    data = Relabelled(Toy(3), PLACES, THERE, labelling)
    assert len(data) == 3 and data.names == ["0.png", "1.png", "2.png"] and data.categories is THERE
    assert data[2].labelling is labelling and data[2].panoptic.same_as(data.truth(2))


@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=8), st.integers(0, 5))
def test_shares_are_the_weights(weights: list[float], seed: int) -> None:
    mixture = Mixture([member(str(i), 7, w) for i, w in enumerate(weights)], HERE, seed)
    counts = Counter(mixture.place(position)[0] for position in range(BLOCK))
    for index, weight in enumerate(weights):
        assert abs(counts[index] - BLOCK * weight / sum(weights)) <= max(1, len(weights) / 2)
    assert sum(mixture.shares().values()) == pytest.approx(1)


def test_every_sample_comes_before_any_comes_again() -> None:
    mixture = Mixture([member("a", 50, 1.0), member("b", 3, 1.0)], HERE, 3)
    drawn = [mixture.place(position) for position in range(3 * BLOCK)]
    for index, length in ((0, 50), (1, 3)):
        places = [place for one, place in drawn if one == index]
        for turn in range(len(places) // length):
            assert sorted(places[turn * length : (turn + 1) * length]) == list(range(length))
    assert drawn != sorted(drawn)
    again = Mixture([member("a", 50, 1.0), member("b", 3, 1.0)], HERE, 3)
    assert [again.place(position) for position in reversed(range(40))] == drawn[:40][::-1]


def test_samples_carry_the_set_and_its_labelling() -> None:
    labelling = Labelling(frozenset({1}), frozenset())
    mixture = Mixture([Member("set", Toy(9), 1.0, PLACES, labelling, chosen=(4,))], THERE)
    sample = mixture[17]
    assert sample.file_name == "set/4.png" and sample.labelling is labelling
    assert sample.panoptic.categories is THERE


def test_what_cannot_be_mixed() -> None:
    with pytest.raises(DataError, match="at least one data set"):
        Mixture([], HERE)
    with pytest.raises(DataError, match="weight must be positive, got 0"):
        Mixture([member("a", 3, 0.0)], HERE)
    with pytest.raises(DataError, match="no images"):
        Mixture([Member("a", Toy(3), 1.0, {}, chosen=())], HERE)


def test_validation_takes_a_share_of_each() -> None:
    members = [member("a", 30, 1.0), member("b", 10, 9.0)]
    assert len(Joint(members, HERE)) == 40
    some = Joint(members, HERE, 8)
    assert [some[i].file_name for i in range(len(some))] == [f"a/{i}.png" for i in range(6)] + [
        "b/0.png",
        "b/1.png",
    ]


def test_predictions_that_a_set_does_not_label_become_void() -> None:
    own = Toy(1).truth(0)
    kept = only_categories(own, {0, 2})
    assert [one.category for one in kept.segments] == [0, 2]
    assert kept.ids.tolist() == [[1, 1, 0, 0], [0, 3, 3, 0]]
    assert only_categories(own, {0, 1, 2, 3}) is own
