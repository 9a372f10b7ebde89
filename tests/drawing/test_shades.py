"""Colours of segments: stable, and told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.categories.colors import from_oklab, oklab
from pansight.drawing.shades import VOID_COLOR, lightened, segment_colors, shades
from pansight.panoptic import PanopticMap


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=20))
def test_oklab_and_back_is_the_same_color(colors: list[tuple[int, int, int]]) -> None:
    rgb = np.array(colors, dtype=np.uint8)
    np.testing.assert_array_equal(from_oklab(oklab(rgb)), rgb)


def test_stuff_has_its_own_color_and_things_depend_on_nothing_but_their_id() -> None:
    coco = Categories.builtin("coco")
    person, sky = coco.index("person"), coco.index("sky-other-merged")
    ids = np.array([[0, 5, 6], [9, 9, 7]], dtype=np.int32)
    one = PanopticMap.from_table(ids, [(5, person), (6, person), (9, sky), (7, sky)], coco)
    colors = segment_colors(one)
    assert tuple(colors[0]) == VOID_COLOR
    assert tuple(colors[3]) == tuple(colors[4]) == coco[sky].color
    assert tuple(colors[1]) != tuple(colors[2])
    other = PanopticMap.from_table(ids[:1].copy(), [(6, person), (5, person)], coco)
    np.testing.assert_array_equal(segment_colors(other)[[2, 1]], colors[[1, 2]])


@pytest.mark.parametrize("name", ["coco", "cityscapes", "ade20k", "mapillary"])
def test_things_with_near_ids_are_told_apart(name: str) -> None:
    ids = np.arange(1, 400, dtype=np.int64)
    for category in Categories.builtin(name):
        if not category.is_thing:
            continue
        lab = oklab(shades(np.tile(np.array(category.color, dtype=np.uint8), (len(ids), 1)), ids))
        for step in range(1, 9):
            # 0.02 in OKLab is about what an eye sees side by side.
            assert np.linalg.norm(lab[step:] - lab[:-step], axis=1).min() > 0.02, (category.name, step)


def test_shades_keep_the_hue_of_their_category() -> None:
    ids = np.arange(1, 200, dtype=np.int64)
    red, green = (np.tile(np.array(c, dtype=np.uint8), (199, 1)) for c in ((220, 20, 60), (40, 160, 60)))
    center_red, center_green = oklab(red[:1])[0, 1:], oklab(green[:1])[0, 1:]
    for base, own, other in ((red, center_red, center_green), (green, center_green, center_red)):
        hue = oklab(shades(base, ids))[:, 1:]
        assert (np.linalg.norm(hue - own, axis=1) < np.linalg.norm(hue - other, axis=1)).all()


def test_lightened_moves_towards_white_and_black() -> None:
    colors = np.array([(200, 30, 40), (10, 90, 200)], dtype=np.uint8)
    assert (oklab(lightened(colors, 0.5))[:, 0] > oklab(colors)[:, 0] + 0.1).all()
    assert (oklab(lightened(colors, -0.5))[:, 0] < oklab(colors)[:, 0] - 0.1).all()
    assert lightened(colors, 1.0).tolist() == [[255, 255, 255]] * 2
    assert lightened(colors, -1.0).tolist() == [[0, 0, 0]] * 2
    np.testing.assert_array_equal(lightened(colors, 0.0), colors)
