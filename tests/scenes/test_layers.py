"""What stays in a scene, and that truth and picture are made of the same shapes."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pansight.scenes.kinds import FIRST_THING_CODE, STUFF_CODE, THINGS
from pansight.scenes.layers import MIN_VISIBLE, Layer, codes_of, seen, stack
from pansight.scenes.layout import sample_world
from pansight.scenes.sketch import ELLIPSE, RECTANGLE, Shape, paint, stamp
from pansight.scenes.world import View

SKY, GRASS, WATER = STUFF_CODE["sky"], STUFF_CODE["grass"], STUFF_CODE["water"]


def view_of(index: int, height: int, width: int) -> View:
    return View(sample_world(1, index, height, width), 2.0 * min(height, width), 0.0, 0)


def box(x0: float, y0: float, x1: float, y1: float) -> list[Shape]:
    """A rectangle in picture pixels."""
    return [(RECTANGLE, [2.0 * x0, 2.0 * y0, 2.0 * x1 - 1, 2.0 * y1 - 1], (9, 9, 9), True)]


def thing(place: int, shapes: list[Shape]) -> Layer:
    return Layer(FIRST_THING_CODE + place, "car", shapes, foot=1.0)


def test_truth_covers_exactly_what_is_painted() -> None:
    key = (255, 0, 255)
    forms = set()
    for index in range(20):
        for layer in stack(view_of(index, 96, 128), (256, 192)):
            canvas, mask = Image.new("RGB", (256, 192), key), Image.new("L", (256, 192))
            paint(ImageDraw.Draw(canvas), layer.shapes)
            stamp(ImageDraw.Draw(mask), layer.shapes, 1)
            form = layer.item.form if layer.item else layer.category
            painted = (np.asarray(canvas) != key).any(2)
            assert np.array_equal(painted, np.asarray(mask) == 1), form
            forms.add(form)
    assert len(forms) >= 20


def test_codes_follow_the_majority_of_four() -> None:
    half_pixel: list[Shape] = [
        (RECTANGLE, [4.0, 4.0, 8.0, 9.0], (0, 0, 0), True)
    ]  # columns 4..8: a quarter into pixel 4
    codes = codes_of([Layer(7, "car", half_pixel)], 8, 8)
    assert (codes[2:5, 2:4] == 7).all()
    assert (codes == 7).sum() in (6, 9)
    corner: list[Shape] = [(RECTANGLE, [5.0, 5.0, 9.0, 9.0], (0, 0, 0), True)]  # one of four at (2, 2)
    codes = codes_of([Layer(7, "car", corner)], 8, 8)
    assert codes[2, 2] == SKY
    assert (codes[3:5, 3:5] == 7).all()


def test_nearer_layers_hide_farther_ones() -> None:
    layers = [
        Layer(GRASS, "grass", box(0, 20, 40, 40)),
        thing(0, box(5, 10, 25, 30)),
        thing(1, box(15, 12, 35, 32)),
    ]
    kept, codes = seen(layers, view_of(0, 40, 40), 40, 40)
    assert len(kept) == 3
    assert codes[20, 20] == FIRST_THING_CODE + 1
    assert codes[20, 10] == FIRST_THING_CODE


def test_hidden_things_are_left_out_of_truth_and_picture() -> None:
    hidden, cover = thing(0, box(10, 10, 20, 30)), thing(1, box(8, 5, 18, 35))
    kept, codes = seen([hidden, cover], view_of(0, 40, 40), 40, 40)
    assert kept == [cover], "two of ten columns are seen: less than 30 %"
    assert codes[20, 19] == SKY
    partly = thing(0, box(10, 10, 24, 30))
    kept, codes = seen([partly, cover], view_of(0, 40, 40), 40, 40)
    assert kept == [partly, cover]
    assert (codes == FIRST_THING_CODE).sum() == 6 * 20


def test_things_cut_by_the_border_count_with_their_whole_outline() -> None:
    out = thing(0, box(-30, 10, 10, 30))  # a quarter is inside
    inside = thing(0, box(-10, 10, 10, 30))
    assert seen([out], view_of(0, 40, 40), 40, 40)[0] == []
    assert seen([inside], view_of(0, 40, 40), 40, 40)[0] == [inside]


def test_tiny_things_are_left_out() -> None:
    assert seen([thing(0, box(10, 10, 13, 13))], view_of(0, 40, 40), 40, 40)[0] == []


def test_slivers_of_stuff_are_replaced_by_other_ground() -> None:
    view = view_of(0, 100, 100)
    base = Layer(GRASS, "grass", box(0, 40, 100, 100), base=True)
    lake = Layer(WATER, "water", box(5, 40, 100, 45) + box(0, 45, 100, 100))  # all but 25 pixels
    kept, codes = seen([base, lake], view, 100, 100)
    assert not (codes == GRASS).any()
    assert [layer.code for layer in kept] == [WATER, WATER]
    wood = Layer(STUFF_CODE["vegetation"], "vegetation", box(3, 3, 9, 9))
    kept, codes = seen([wood], view, 100, 100)
    assert kept == []
    assert (codes == SKY).all()


def test_outlines_with_round_parts_are_measured() -> None:
    disc: list[Shape] = [(ELLIPSE, [-40.0, 20.0, 39.0, 99.0], (0, 0, 0), True)]  # half of it is inside
    kept, codes = seen([thing(0, disc)], view_of(0, 64, 64), 64, 64)
    assert len(kept) == 1
    assert (codes == FIRST_THING_CODE).mean() == pytest.approx(0.5 * np.pi * 20 * 20 / 64**2, rel=0.05)


def test_things_really_hide_each_other() -> None:
    """Occlusion is common: things overlap other things in a good part of the scenes."""
    height, width, overlapping = 96, 128, 0
    for index in range(24):
        view = view_of(index, height, width)
        layers, codes = seen(stack(view, (2 * width, 2 * height)), view, height, width)
        for layer in layers:
            if layer.category not in THINGS:
                continue
            outline = codes_of([layer], height, width) == layer.code
            shown = codes[outline] == layer.code
            assert shown.sum() >= MIN_VISIBLE * 0.9 * outline.sum()
            by_things = (codes[outline] >= FIRST_THING_CODE) & ~shown
            overlapping += bool(by_things.mean() > 0.05)
    assert overlapping >= 8
