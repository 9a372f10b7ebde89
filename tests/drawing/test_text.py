"""Text, stencils and short names."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pansight.categories import Categories, Category
from pansight.drawing.names import short_names
from pansight.drawing.stencils import lay, rounded, stencil
from pansight.drawing.text import one_line, shortened, text_stencil, text_width

# Names of any script, lone surrogates and control characters too.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


@settings(deadline=None, max_examples=150)
@example("0 ¯¸", 32)  # marks without a letter
@given(ANY_TEXT, st.sampled_from([6, 11, 32]))
def test_any_text_can_be_drawn(text: str, size: int) -> None:
    line = one_line(text)
    assert line.isprintable() and line == line.strip()
    letters = text_stencil(line, size)
    assert abs(letters.shape[1] - text_width(line, size)) <= 0.6 * size + 2
    assert letters.max() <= 256


def test_letters_have_ink_and_capitals_are_centred() -> None:
    letters = text_stencil("HILL", 40)[..., 0]
    inked = np.flatnonzero(letters.any(axis=1))
    above, below = inked[0], letters.shape[0] - 1 - inked[-1]
    assert abs(above - below) <= 2
    assert letters.max() == 256
    assert not np.array_equal(letters, text_stencil("HULL", 40)[..., 0])


def test_letters_that_hang_below_the_line_are_whole() -> None:
    assert not text_stencil("gyp", 30)[-1].any()


@pytest.mark.parametrize(("text", "plain"), [("café", "cafe"), ("Straße", "Strasse"), ("søppel", "soppel")])
def test_accents_are_dropped_rather_than_boxed(text: str, plain: str) -> None:
    np.testing.assert_array_equal(text_stencil(text, 20), text_stencil(plain, 20))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50), st.integers(0, 300))
def test_shortened_text_fits(text: str, width: int) -> None:
    brief = shortened(text, 14, width)
    assert text_width(brief, 14) <= width or brief == ""
    if text_width(text, 14) <= width:
        assert brief == text


def test_stencils_are_cut_at_the_border() -> None:
    picture = np.zeros((5, 5, 3), dtype=np.uint8)
    square = stencil(np.full((3, 3), 255, dtype=np.uint8))
    for x, y in ((-1, -1), (4, 4), (9, 0), (-3, 2), (0, 5)):
        lay(picture, square, x, y, (10, 20, 255))
    drawn = picture.any(axis=2)
    expected = np.zeros((5, 5), dtype=np.bool_)
    expected[:2, :2] = expected[4, 4] = True
    np.testing.assert_array_equal(drawn, expected)
    assert picture[0, 0].tolist() == [10, 20, 255]


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_laying_is_the_weighted_mean(old: int, new: int, cover: int) -> None:
    picture = np.full((1, 2, 3), old, dtype=np.uint8)
    lay(picture, stencil(np.full((1, 2), cover, dtype=np.uint8)), 0, 0, (new, new, new))
    assert np.abs(picture - (old + (new - old) * cover / 255)).max() < 2


def test_rounded_corners() -> None:
    shape = rounded(20, 10, 4)[..., 0]
    assert shape.shape == (10, 20)
    assert shape[0, 0] == 0 and shape[5, 10] == 256 and 0 < shape[0, 2] < 256
    np.testing.assert_array_equal(shape, shape[::-1, ::-1])


def test_short_names_of_the_known_sets() -> None:
    coco = Categories.builtin("coco")
    names = dict(zip(coco.names, short_names(coco), strict=True))
    assert names["sky-other-merged"] == "sky"
    assert names["wall-other-merged"] == "wall" and names["wall-brick"] == "wall-brick"
    assert names["person"] == "person"
    ade = Categories.builtin("ade20k")
    assert short_names(ade)[ade.index("toilet, can, commode, crapper, pot, potty, stool, throne")] == "toilet"
    for name in ("coco", "cityscapes", "ade20k", "mapillary"):
        categories = Categories.builtin(name)
        assert len(set(short_names(categories))) == len(categories)


def test_names_are_not_shortened_into_each_other() -> None:
    full = ["wall", "wall-other", "object--sign--front", "marking--front", "screen, crt", "screen-merged, tv"]
    categories = Categories(Category(name, False, i, (9, 9, 9)) for i, name in enumerate(full))
    assert short_names(categories) == tuple(full)
