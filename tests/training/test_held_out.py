"""Images held out: by name, stable, never all and never none."""

from typing import Any

import pytest

from pansight.categories import Categories
from pansight.training.held_out import hold_out


class Named:
    """A data set that is only names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.image_ids = names
        self.categories = Categories.builtin("scenes")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        return self.names[index]

    def truth(self, index: int) -> Any:
        return self.names[index]


def split(names: list[str], share: float) -> tuple[list[str], list[str]]:
    training, validation = hold_out(Named(names), share)
    return list(training.names), [] if validation is None else list(validation.names)


def test_about_the_share_is_held_out_and_stays_so() -> None:
    names = [f"{number}.jpg" for number in range(1000)]
    training, validation = split(names, 0.1)
    assert sorted(training + validation) == sorted(names)
    assert 70 <= len(validation) <= 130
    more = split([*names, *(f"new {number}.jpg" for number in range(500))], 0.1)[1]
    assert set(validation) <= set(more)
    assert not set(training) & set(more)


@pytest.mark.parametrize("count", [2, 3, 4, 9])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.99])
def test_few_images_go_to_both_sides(count: int, share: float) -> None:
    training, validation = split([f"{number}.png" for number in range(count)], share)
    assert training and validation and len(training) + len(validation) == count


def test_nothing_to_hold_out() -> None:
    assert split(["a.png"], 0.5) == (["a.png"], [])
    assert split(["a.png", "b.png"], 0.0) == (["a.png", "b.png"], [])
