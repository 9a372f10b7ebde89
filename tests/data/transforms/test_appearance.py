"""Blur, JPEG, gray and boxes: sizes and ids stay right, chance comes from the generator alone."""

from collections.abc import Callable

import numpy as np
import pytest

from pansight.data.transforms import (
    Blur,
    Compression,
    Erasing,
    Gray,
    Labelled,
    Transform,
    generator_for,
    photographs,
)

KINDS: list[Callable[[float], Transform]] = [Blur, Compression, Gray, Erasing]


def labelled() -> Labelled:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Labelled(image, generator.integers(1, 5, (40, 60), dtype=np.int32))


@pytest.mark.parametrize("make", KINDS)
def test_it_happens_and_repeats(make: Callable[[float], Transform]) -> None:
    given = labelled()
    found, again = (make(1.0)(given, generator_for((1, 2))) for _ in range(2))
    assert found.image.shape == given.image.shape and found.image.dtype == np.uint8
    assert not np.array_equal(found.image, given.image)
    assert np.array_equal(found.image, again.image) and np.array_equal(found.ids, again.ids)


@pytest.mark.parametrize("make", KINDS)
def test_it_does_not_happen(make: Callable[[float], Transform]) -> None:
    given = labelled()
    assert make(0.0)(given, generator_for((1, 2))) is given


def test_what_a_box_hides_has_no_label() -> None:
    given = labelled()
    found = Erasing(1.0, boxes=1, area=(0.1, 0.1))(given, generator_for((4,)))
    hidden = found.ids == 0
    assert 0.05 < hidden.mean() < 0.15
    assert np.array_equal(found.ids[~hidden], given.ids[~hidden])
    assert np.array_equal(found.image[~hidden], given.image[~hidden])
    assert len(np.unique(found.image[hidden], axis=0)) == 1
    assert (given.ids > 0).all()  # what was given is as it was


def test_gray_has_no_colours() -> None:
    image = Gray(1.0)(labelled(), generator_for((0,))).image
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_sequence_gives_one_size(seed: int) -> None:
    found = photographs((32, 48))(labelled(), generator_for((seed,)))
    assert found.image.shape == (32, 48, 3) and found.ids.shape == (32, 48)
