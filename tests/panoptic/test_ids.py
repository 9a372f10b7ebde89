import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pansight.errors import InputError
from pansight.panoptic.ids import ID_LIMIT, ids_to_rgb, rgb_to_ids

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)


@given(hnp.arrays(np.int32, shapes, elements=st.integers(0, ID_LIMIT - 1)))
def test_ids_survive_the_picture(ids: np.ndarray) -> None:
    rgb = ids_to_rgb(ids)
    assert rgb.dtype == np.uint8 and rgb.shape == (*ids.shape, 3)
    back = rgb_to_ids(rgb)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, ids)


@given(hnp.arrays(np.uint8, shapes.map(lambda shape: (*shape, 4))))
def test_pictures_survive_the_ids_and_alpha_counts_for_nothing(rgba: np.ndarray) -> None:
    ids = rgb_to_ids(rgba)
    np.testing.assert_array_equal(ids_to_rgb(ids), rgba[..., :3])
    # The definition, in arithmetic: id = R + 256 G + 65536 B.
    wide = rgba.astype(np.int64)
    np.testing.assert_array_equal(ids, wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_any_integer_array_in_any_layout_is_written(dtype: type) -> None:
    ids: np.ndarray = np.arange(24, dtype=dtype).reshape(4, 6)
    np.testing.assert_array_equal(rgb_to_ids(ids_to_rgb(ids.T[::-1])), ids.T[::-1])


def test_known_value() -> None:
    assert ids_to_rgb(np.array([[3937500]]))[0, 0].tolist() == [220, 20, 60]


@pytest.mark.parametrize("bad", [-1, ID_LIMIT])
def test_ids_that_do_not_fit_are_refused(bad: int) -> None:
    with pytest.raises(InputError, match=r"do not fit in an RGB image; renumber") as caught:
        ids_to_rgb(np.array([[0, bad]]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 5), np.uint8), ((4, 5, 1), np.uint8), ((4, 5, 3), np.uint16), ((3, 4, 5), np.uint8)],
)
def test_pictures_that_hold_no_ids_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(InputError, match="must be uint8"):
        rgb_to_ids(np.zeros(shape, dtype))
