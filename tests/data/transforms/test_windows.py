"""Crops hold an object wherever one can be held, and choose as evenly as drawing again would."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.data.transforms import (
    ColorJitter,
    Compose,
    HorizontalFlip,
    Labelled,
    Rescale,
    ShortSideChoice,
    Squash,
    Transform,
    WindowAroundObject,
    WindowWithCenter,
    WindowWithObject,
    generator_for,
    short_sides,
    squash_and_crop,
    window_and_rescale,
)
from pansight.models.preprocess import Preprocess

sides = st.integers(1, 30)
seeds = st.integers(0, 2**32)
WINDOWS: tuple[type[WindowWithObject] | type[WindowAroundObject] | type[WindowWithCenter], ...] = (
    WindowWithObject,
    WindowAroundObject,
    WindowWithCenter,
)


def scene(height: int, width: int, boxes: dict[int, tuple[int, int, int, int]]) -> Labelled:
    """Boxes (top, left, height, width) by id on a background of id 1; all of them are objects."""
    ids = np.ones((height, width), dtype=np.int32)
    for number, (top, left, h, w) in boxes.items():
        ids[top : top + h, left : left + w] = number
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([rows, columns, ids.astype(np.uint8)], axis=2)
    return Labelled(image, ids, np.array(sorted(boxes), dtype=np.int32))


@given(sides, sides, sides, sides, st.data(), seeds)
@settings(max_examples=80)
def test_a_window_shows_part_of_an_object_and_keeps_picture_and_ids_together(
    h: int, w: int, ch: int, cw: int, data: st.DataObject, seed: int
) -> None:
    top, left = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    labelled = scene(h, w, {7: (top, left, 1, 1)})
    for window in WINDOWS:
        result = window((ch, cw))(labelled, generator_for((seed,)))
        assert result.size == (min(h, ch), min(w, cw))
        assert np.array_equal(result.image[:, :, 2], result.ids)
        assert (result.ids == 7).any(), window


@pytest.mark.parametrize("window", WINDOWS)
def test_without_objects_a_window_lies_anywhere(window: type[WindowWithObject]) -> None:
    labelled = scene(4, 4, {})
    corners = Counter(
        tuple(window((3, 3))(labelled, generator_for((seed,))).image[0, 0, :2].tolist())
        for seed in range(400)
    )
    assert set(corners) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert min(corners.values()) > 60


def test_windows_that_hold_the_object_are_equally_likely() -> None:
    # of the 36 windows of 5 x 5, those with a corner in rows 3..5 and columns 4..5 see the object
    labelled = scene(10, 10, {9: (7, 9, 1, 1)})
    corners = Counter(
        tuple(WindowWithObject((5, 5))(labelled, generator_for((seed,))).image[0, 0, :2].tolist())
        for seed in range(900)
    )
    assert set(corners) == {(y, 5) for y in (3, 4, 5)}
    assert min(corners.values()) > 230


def test_windows_that_hold_a_centre_are_equally_likely() -> None:
    # the centre (7.5, 8.5) must be strictly inside
    labelled = scene(10, 10, {9: (7, 8, 1, 1)})
    corners = Counter(
        tuple(WindowWithCenter((5, 5))(labelled, generator_for((seed,))).image[0, 0, :2].tolist())
        for seed in range(900)
    )
    assert set(corners) == {(y, x) for y in (3, 4, 5) for x in (4, 5)}
    assert min(corners.values()) > 100


def test_objects_whose_centre_is_cut_off_are_struck_off_the_list() -> None:
    labelled = scene(10, 20, {3: (0, 0, 10, 9), 5: (0, 12, 10, 3)})
    seen = set()
    for seed in range(60):
        result = WindowWithCenter((10, 6))(labelled, generator_for((seed,)))
        left = int(result.image[0, 0, 1])
        expected = [n for n, center in ((3, 4.5), (5, 13.5)) if left < center < left + 6]
        assert result.objects.tolist() == expected
        assert expected
        seen.add((left, tuple(expected)))
    assert len(seen) > 5


def test_the_object_is_chosen_before_the_window() -> None:
    # a hundred pixels of one object weigh as much as a single one of the other
    labelled = scene(40, 40, {3: (0, 0, 10, 10), 5: (39, 39, 1, 1)})
    hits = [
        bool((WindowAroundObject((8, 8))(labelled, generator_for((seed,))).ids == 5).any())
        for seed in range(400)
    ]
    assert 150 < sum(hits) < 250


def test_an_object_larger_than_the_window_is_held_by_its_middle() -> None:
    labelled = scene(20, 20, {3: (0, 0, 20, 20)})
    result = WindowWithCenter((4, 4))(labelled, generator_for((1,)))
    top, left = result.image[0, 0, :2].tolist()
    assert top < 10 < top + 4
    assert left < 10 < left + 4


def test_rescale_and_squash_have_their_sides() -> None:
    labelled = scene(100, 200, {})
    sizes = [Rescale(0.7, 1.3)(labelled, generator_for((seed,))).size for seed in range(100)]
    assert all(abs(width - 2 * height) <= 1 for height, width in sizes)
    assert 70 <= min(sizes)[0] < 75
    assert 125 < max(sizes)[0] <= 130
    squashed = [Squash((40, 40), 1.0, 1.5)(labelled, generator_for((seed,))).size for seed in range(100)]
    assert all(height == width for height, width in squashed)
    assert 40 <= min(squashed)[0] < 43
    assert 57 < max(squashed)[0] <= 60
    assert Squash((55, 33))(labelled, generator_for((0,))).size == (55, 33)


@pytest.mark.parametrize("size", [(40, 40), (90, 31), (12, 200), (1, 1), (70, 91)], ids=str)
@pytest.mark.parametrize("mirrored", [False, True])
def test_squashed_pictures_are_what_inference_makes_of_them(size: tuple[int, int], mirrored: bool) -> None:
    """But for the rounding to whole levels."""
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    image.setflags(write=False)
    image = image[:, ::-1] if mirrored else image
    squashed = Squash(size)(Labelled(image, np.ones((70, 90), dtype=np.int32)), generator_for((0,)))
    preprocess = Preprocess(squash=size, divisor=1, mean=(0, 0, 0), std=(1, 1, 1), resample="bilinear")
    wanted = preprocess.batch([image])[0][0].permute(1, 2, 0).numpy()
    assert squashed.image.shape == (*size, 3)
    assert np.abs(squashed.image - wanted).max() <= 0.5


@pytest.mark.parametrize(
    ("sequence", "size"),
    [
        (squash_and_crop((55, 55)), (55, 55)),
        (short_sides((64, 80), 133, (48, 60)), (48, 60)),
    ],
)
def test_sequences_give_their_size_and_invent_nothing(sequence: Compose, size: tuple[int, int]) -> None:
    labelled = scene(70, 90, {1000: (5, 5, 20, 30), 70000: (40, 50, 25, 30)})
    for seed in range(10):
        result = sequence(labelled, generator_for((seed,)))
        assert result.size == size
        assert set(np.unique(result.ids)) <= {1, 1000, 70000}
        assert np.isin(result.objects, result.ids).any()


def test_window_and_rescale_scales_the_window() -> None:
    labelled = scene(60, 90, {5: (50, 80, 5, 5)})
    for seed in range(10):
        result = window_and_rescale((30, 40))(labelled, generator_for((seed,)))
        assert 21 <= result.size[0] <= 39
        assert (result.ids == 5).any()


def test_papers_sequences_are_what_the_papers_say() -> None:
    flip = HorizontalFlip(0.5)
    expected: tuple[Transform, ...] = (ShortSideChoice((640, 720, 800), 1333), flip)
    assert short_sides((640, 720, 800), 1333).steps == expected
    assert window_and_rescale().steps == (WindowWithObject((900, 1800)), Rescale(0.7, 1.3), flip)
    assert squash_and_crop(color=False).steps == (
        flip,
        Squash((550, 550), 1.0, 1.5),
        WindowWithCenter((550, 550)),
    )
    assert squash_and_crop().steps[:2] == (ColorJitter(hue=9), flip)
    assert squash_and_crop().steps[2:] == squash_and_crop(color=False).steps[1:]
    assert squash_and_crop(minimum=1.0, maximum=1.0, color=False, flip=False).steps == (
        Squash((550, 550), 1.0, 1.0),
        WindowWithCenter((550, 550)),
    )
