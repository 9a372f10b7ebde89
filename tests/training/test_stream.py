"""The order of samples: endless, repeatable, to be entered anywhere, shared without overlap."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.data.transforms import Compose, crop_and_color
from pansight.errors import DataError
from pansight.training.stream import EndlessBatches, ErrorsAsItems, ExampleStream


@given(st.integers(1, 20), st.integers(1, 7), st.integers(0, 99), st.integers(0, 15))
@settings(deadline=None)
def test_order_can_be_entered_anywhere(length: int, size: int, seed: int, start: int) -> None:
    whole = list(islice(EndlessBatches(length, size, seed), start + 5))
    assert list(islice(EndlessBatches(length, size, seed, start=start), 5)) == whole[start:]


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@settings(deadline=None)
def test_processes_have_every_sample_once_an_epoch(length: int, size: int, world: int, seed: int) -> None:
    ranks = [iter(EndlessBatches(length, size, seed, rank=rank, world=world)) for rank in range(world)]
    keys = [key for _ in range(3 * length) for rank in ranks for key in next(rank)]
    for epoch in range(2):
        assert sorted(keys[epoch * length : (epoch + 1) * length]) == [(epoch, i) for i in range(length)]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        return [index for _, index in next(iter(EndlessBatches(50, 50, seed, start=number)))]

    assert epoch(0, 0) != epoch(0, 1)
    assert epoch(0, 0) != epoch(1, 0)
    assert next(iter(EndlessBatches(5, 7, 0, shuffle=False))) == [(0, i) for i in range(5)] + [(1, 0), (1, 1)]


def test_examples_depend_on_their_key_alone(toy: Callable[..., Any]) -> None:
    transform = crop_and_color(48, 100, (32, 32), pad=True)
    one, two = (ExampleStream(toy(0, 5), transform, 3) for _ in range(2))
    keys = [(0, 1), (0, 2), (1, 1)]
    first = [one[key] for key in keys]
    second = [two[key] for key in reversed(keys)][::-1]
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.rows, b.rows)
    assert not np.array_equal(first[0].image, first[2].image), "another epoch is augmented anew"


def test_errors_come_as_items(toy: Callable[..., Any]) -> None:
    class Broken:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            if index:
                raise DataError("b.png is broken")
            return toy(0, 1)[0]

    items = ErrorsAsItems(Broken())
    assert items[0].file_name == "toy 0"
    assert str(items[1]) == "b.png is broken"
    with pytest.raises(DataError, match="no images"):
        ExampleStream(toy(0, 0), Compose(), 0)
