"""Labels lie inside their segments, do not overlap, and leave out what does not fit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import UInt

from pansight.drawing.labels import draw_labels, place_labels, poles


def _areas(rows: UInt[np.ndarray, "h w"], count: int) -> np.ndarray:
    return np.bincount(rows.reshape(-1), minlength=count + 1)[1:].astype(np.int64)


def test_poles_of_simple_shapes() -> None:
    rows = np.zeros((101, 201), dtype=np.uint8)
    rows[20:61, 30:111] = 1
    places, depths = poles(rows, 2)
    y, x = places[1]
    assert abs(y - 40) <= 1 and abs(x - 70) <= 2
    assert 19 <= depths[1] <= 21  # half of 41 rows
    assert depths[2] == -1


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 5))
)
def test_poles_lie_on_their_own_row(rows: UInt[np.ndarray, "h w"]) -> None:
    places, depths = poles(rows, 6)
    for row in range(7):
        if depths[row] >= 0:
            assert rows[tuple(places[row])] == row
    assert depths[6] == -1


def test_a_pole_avoids_the_hole_in_a_ring() -> None:
    y, x = np.mgrid[:301, :401]
    far = np.hypot(y - 150, x - 200)
    rows = ((far < 140) & (far > 60)).astype(np.uint8)
    (_, ring), _ = poles(rows, 1)
    assert 80 < np.hypot(ring[0] - 150, ring[1] - 200) < 120


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_labels_are_inside_and_apart(seed: int) -> None:
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :180]
    seeds = generator.integers(0, (120, 180), (12, 2))
    far = [(y - seed[0]) ** 2 + (x - seed[1]) ** 2 for seed in seeds]
    rows = np.argmin(far, axis=0).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    texts = ["sky", "traffic light", "a person 97%"] * 4
    labels = place_labels(rows, texts[:11], _areas(rows, 11))
    assert labels
    covered = np.zeros(rows.shape, dtype=np.int64)
    for label in labels:
        box = rows[label.y : label.y + label.height, label.x : label.x + label.width]
        assert box.shape == (label.height, label.width)
        assert (box == label.row).mean() > 0.95
        assert label.text == texts[label.row - 1]
        covered[label.y : label.y + label.height, label.x : label.x + label.width] += 1
    assert covered.max() == 1


def test_larger_segments_have_larger_names() -> None:
    rows = np.ones((400, 600), dtype=np.uint8)
    rows[300:360, 40:120] = 2
    large, small = place_labels(rows, ["road", "car"], _areas(rows, 2))
    assert (large.row, small.row) == (1, 2)
    assert large.size > small.size


def test_names_that_do_not_fit_are_left_out() -> None:
    rows = np.zeros((200, 300), dtype=np.uint8)
    rows[50:56, 20:280] = 1  # too flat
    rows[80:190, 20:30] = 2  # too narrow
    rows[80:190, 100:280] = 3
    texts = ["one", "two", "three"]
    assert [label.text for label in place_labels(rows, texts, _areas(rows, 3))] == ["three"]
    assert place_labels(rows, ["", "", ""], _areas(rows, 3)) == []
    assert place_labels(rows, ["x" * 60] * 3, _areas(rows, 3)) == []


def test_drawing_stays_inside_the_plate_and_is_readable() -> None:
    rows = np.ones((120, 200), dtype=np.uint8)
    (label,) = place_labels(rows, ["harbour"], _areas(rows, 1))
    picture = np.full((120, 200, 3), 180, dtype=np.uint8)
    colors = np.array([(0, 0, 0), (240, 220, 60)], dtype=np.uint8)
    draw_labels(picture, [label], colors)
    inside = np.zeros(rows.shape, dtype=np.bool_)
    inside[label.y : label.y + label.height, label.x : label.x + label.width] = True
    assert (picture[~inside] == 180).all()
    brightness = picture[inside].astype(int).sum(axis=1)
    assert brightness.max() > 3 * 230  # letters
    assert np.median(brightness) < 3 * 110  # plate
