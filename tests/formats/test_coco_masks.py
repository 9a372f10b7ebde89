"""Masks of COCO files, judged by pycocotools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.errors import DataError
from pansight.formats.coco_masks import decode_segmentation, encode_mask, polygon_mask

judge = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")


def judged(polygons: list[list[float]], height: int, width: int) -> Any:
    return judge.decode(judge.merge(judge.frPyObjects(polygons, height, width))).astype(bool)


sides = st.integers(1, 40)
coordinate = st.one_of(
    st.floats(-30, 70), st.integers(-5, 45).map(float), st.integers(0, 80).map(lambda n: n / 2)
)
outline = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9).map(
    lambda corners: [side for corner in corners for side in corner]
)


@given(outline, sides, sides)
def test_polygons_cover_the_pixels_that_pycocotools_says(
    corners: list[float], height: int, width: int
) -> None:
    assert np.array_equal(polygon_mask(corners, height, width), judged([corners], height, width))


@given(st.lists(outline, min_size=1, max_size=3), sides, sides)
def test_polygons_of_one_annotation_are_joined(polygons: list[list[float]], height: int, width: int) -> None:
    assert np.array_equal(decode_segmentation(polygons, height, width), judged(polygons, height, width))


@given(st.data(), sides, sides)
def test_run_lengths_are_those_of_pycocotools(data: st.DataObject, height: int, width: int) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits, dtype=np.bool_).reshape(height, width)
    packed = judge.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_mask(mask) == {"size": [height, width], "counts": packed["counts"].decode()}
    assert np.array_equal(decode_segmentation(encode_mask(mask), height, width), mask)


def test_long_runs_are_packed_in_several_letters() -> None:
    mask = np.zeros((1500, 1400), dtype=np.bool_)
    mask[200:1400, 100:1350] = True
    packed = judge.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_mask(mask)["counts"] == packed["counts"].decode()
    assert np.array_equal(decode_segmentation(encode_mask(mask), 1500, 1400), mask)


def test_plain_run_lengths_go_down_the_columns_and_begin_with_zeros() -> None:
    mask = decode_segmentation({"counts": [1, 2, 3], "size": [3, 2]}, 3, 2)
    assert mask.tolist() == [[False, False], [True, False], [True, False]]


@pytest.mark.parametrize(
    ("segmentation", "fault"),
    [
        (None, "neither a list of polygons nor run lengths"),
        ({"size": [3, 2]}, "neither a list of polygons nor run lengths"),
        ({"counts": [6], "size": [2, 3]}, r"of size \[2, 3\], but the image has height 3, width 2"),
        ({"counts": [5], "size": [3, 2]}, "runs cover 5 of 6 pixels"),
        ({"counts": [7, -1], "size": [3, 2]}, "negative run lengths"),
        ({"counts": [6], "size": 5}, "of size 5, but the image has"),
        ({"counts": [6], "size": None}, "of size None, but the image has"),
        ({"counts": [10**30], "size": [3, 2]}, "numbers that are too large"),
        # their sum, of 64 bits, is 6
        ({"counts": [2**61] * 8 + [6], "size": [3, 2]}, "with a run of 2305843009213693952 of 6 pixels"),
        ({"counts": [1.5], "size": [3, 2]}, "neither whole numbers nor text"),
        ({"counts": "\x01", "size": [3, 2]}, "letters that do not belong"),
        ({"counts": "é", "size": [3, 2]}, "letters that do not belong"),
        ({"counts": "o", "size": [3, 2]}, "letters that do not belong"),
        ({"counts": "o" * 20 + "0", "size": [3, 2]}, "numbers that are too large"),
        ([[0, 0, 1, 1, 2]], "three or more corners"),
        ([[0, 0, 1, 1, 2, float("nan")]], "three or more corners"),
        ([["a", "b"]], "not a list of numbers"),
        ([[0, 0, 1e9, 0, 0, 1]], "reaches out"),
    ],
)
def test_broken_segmentations_are_told(segmentation: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        decode_segmentation(segmentation, 3, 2)


def test_points_and_lines_have_no_pixels() -> None:
    """Annotators leave them beside good polygons; whoever counts objects without pixels hears of them."""
    assert not decode_segmentation([[0, 0, 1, 1]], 3, 2).any()
