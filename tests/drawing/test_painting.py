"""Painting against the plain definition of what it computes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import Bool, UInt

from pansight.categories import Categories, Category
from pansight.drawing.painting import blend, boundary, draw_boundaries, paint, segment_rows
from pansight.panoptic import PanopticMap

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=23)
CATEGORIES = Categories(
    [Category("thing", True, 1, (200, 40, 60)), Category("stuff", False, 2, (30, 90, 70))]
)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(0, 6), start=st.sampled_from([1, 2, 250, 2**24 - 7]))
def test_segment_rows_are_positions_in_the_table(data: st.DataObject, count: int, start: int) -> None:
    numbers = data.draw(st.permutations(range(start, start + count)))
    picked = data.draw(hnp.arrays(np.int64, SHAPES, elements=st.integers(0, count)))
    ids = np.array([0, *numbers], dtype=np.int32)[picked]
    panoptic = PanopticMap.from_table(ids, [(number, 0) for number in numbers], CATEGORIES)
    expected = np.zeros(ids.shape, dtype=np.int64)
    for position, segment in enumerate(panoptic.segments):
        expected[ids == segment.id] = position + 1
    np.testing.assert_array_equal(segment_rows(panoptic), expected)


def test_segment_rows_are_wide_enough_for_many_segments() -> None:
    ids = np.arange(1, 301, dtype=np.int32).reshape(10, 30)
    panoptic = PanopticMap.from_table(ids, [(number, 1) for number in range(1, 301)], CATEGORIES)
    rows = segment_rows(panoptic)
    assert rows.dtype == np.uint16
    np.testing.assert_array_equal(rows, ids)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dtype=st.sampled_from([np.uint8, np.uint16]), run=st.sampled_from([1, 5, 40]))
def test_paint_is_indexing(data: st.DataObject, dtype: type[np.unsignedinteger], run: int) -> None:
    height, width = data.draw(SHAPES)
    values = data.draw(hnp.arrays(dtype, -(-height * width // run), elements=st.integers(0, 3)))
    rows = np.repeat(values, run)[: height * width].reshape(height, width)
    colors = data.draw(hnp.arrays(np.uint8, (4, 3)))
    np.testing.assert_array_equal(paint(colors, rows), colors[rows])


@settings(deadline=None, max_examples=100)
@given(data=st.data(), alpha=st.floats(0, 1))
def test_blend_is_within_two_of_the_exact_mixture(data: st.DataObject, alpha: float) -> None:
    height, width = data.draw(SHAPES)
    extremes = st.sampled_from([0, 1, 127, 254, 255])
    image = data.draw(hnp.arrays(np.uint8, (height, width, 3), elements=extremes))
    colors = data.draw(hnp.arrays(np.uint8, (2, 3), elements=extremes))
    rows = data.draw(hnp.arrays(np.uint8, (height, width), elements=st.integers(0, 1)))
    exact = (1 - alpha) * image.astype(float) + alpha * colors[rows]
    assert np.abs(blend(image, rows, colors, alpha) - exact).max() < 2


def test_blend_at_the_ends_is_exact_and_takes_any_memory_layout() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (37, 41, 3), dtype=np.uint8)
    rows = generator.integers(0, 3, (37, 41)).astype(np.uint8)
    colors = generator.integers(0, 256, (3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(blend(image, rows, colors, 0.0), image)
    np.testing.assert_array_equal(blend(image, rows, colors, 1.0), colors[rows])
    flipped = image[:, ::-1, ::-1]
    np.testing.assert_array_equal(
        blend(flipped, rows, colors, 0.4), blend(np.ascontiguousarray(flipped), rows, colors, 0.4)
    )


def test_blend_works_chunk_by_chunk_on_a_large_picture() -> None:
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (401, 701, 3), dtype=np.uint8)  # more than three chunks, an odd size
    rows = np.repeat(generator.integers(0, 2, (401, 1)), 701, axis=1).astype(np.uint8)
    colors = np.array([(10, 20, 30), (255, 255, 255)], dtype=np.uint8)
    exact = 0.45 * image + 0.55 * colors[rows].astype(float)
    assert np.abs(blend(image, rows, colors, 0.55) - exact).max() < 2


def _plain_boundary(rows: UInt[np.ndarray, "h w"], both_sides: bool) -> Bool[np.ndarray, "h w"]:
    edge = np.zeros(rows.shape, dtype=np.bool_)
    steps = [(0, -1), (-1, 0), (0, 1), (1, 0)] if both_sides else [(0, -1), (-1, 0)]
    for y, x in np.ndindex(*rows.shape):
        for down, right in steps:
            if 0 <= y + down < rows.shape[0] and 0 <= x + right < rows.shape[1]:
                edge[y, x] |= rows[y, x] != rows[y + down, x + right]
    return edge


@settings(deadline=None, max_examples=60)
@given(
    rows=hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2)),
    both_sides=st.booleans(),
)
def test_boundary_compares_neighbours(rows: UInt[np.ndarray, "h w"], both_sides: bool) -> None:
    found = boundary(rows, 2 if both_sides else 1)
    np.testing.assert_array_equal(found, _plain_boundary(rows, both_sides))


def test_thick_boundaries_are_as_wide_as_asked() -> None:
    rows = np.zeros((40, 60), dtype=np.uint8)
    rows[:, 30:] = 1
    for thickness in (1, 2, 4, 6):
        assert boundary(rows, thickness).sum(axis=1).tolist() == [thickness] * 40


def test_boundaries_have_the_tone_of_their_own_row() -> None:
    rows = np.zeros((6, 8), dtype=np.uint8)
    rows[:, 4:] = 1
    picture = np.zeros((6, 8, 3), dtype=np.uint8)
    draw_boundaries(picture, rows, np.array([(200, 0, 0), (0, 0, 200)], dtype=np.uint8), 2)
    assert picture[0].tolist() == [[0, 0, 0]] * 3 + [[150, 0, 0], [0, 0, 150]] + [[0, 0, 0]] * 3
