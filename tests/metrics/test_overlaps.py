from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pansight.errors import InputError
from pansight.metrics.overlaps import count_overlaps

IDS = st.sampled_from([0, 1, 2, 255, 256, 65536, 2**24 - 1])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)


@given(shape=SHAPES, data=st.data())
def test_counts_are_those_of_a_plain_count(shape: tuple[int, int], data: st.DataObject) -> None:
    truth = data.draw(hnp.arrays(np.int64, shape, elements=IDS))
    prediction = data.draw(hnp.arrays(np.int32, shape, elements=IDS))
    table = count_overlaps(truth, prediction)
    pairs = zip(
        table.truth_ids[table.truth_index].tolist(),
        table.prediction_ids[table.prediction_index].tolist(),
        strict=True,
    )
    counted = dict(zip(pairs, table.pixels.tolist(), strict=True))
    assert counted == Counter(zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True))
    assert dict(zip(table.truth_ids.tolist(), table.truth_areas.tolist(), strict=True)) == Counter(
        truth.ravel().tolist()
    )
    assert dict(zip(table.prediction_ids.tolist(), table.prediction_areas.tolist(), strict=True)) == Counter(
        prediction.ravel().tolist()
    )
    assert list(counted) == sorted(counted)


def test_layout_and_integer_type_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    truth, prediction = rng.integers(0, 4, (2, 6, 8))
    expected = count_overlaps(truth, prediction)
    wide = np.zeros((6, 16), dtype=np.uint8)
    wide[:, ::2] = truth
    got = count_overlaps(wide[:, ::2], np.asfortranarray(prediction.astype(np.uint32)))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_runs_are_counted_whole() -> None:
    truth = np.zeros((3, 40_000), dtype=np.int32)
    truth[2, 39_999] = 7
    table = count_overlaps(truth, np.full_like(truth, 2**24 - 1))
    assert table.truth_areas.tolist() == table.pixels.tolist() == [119_999, 1]
    assert table.prediction_areas.tolist() == [120_000]


def test_no_pixels_no_overlaps() -> None:
    empty = np.zeros((0, 5), dtype=np.int32)
    assert all(len(column) == 0 for column in count_overlaps(empty, empty))


def test_sizes_must_agree_even_where_numpy_would_broadcast() -> None:
    with pytest.raises(InputError, match=r"prediction is 1 x 1 pixels, the truth 3 x 2"):
        count_overlaps(np.ones((2, 3), dtype=np.int32), np.ones((1, 1), dtype=np.int32))


@pytest.mark.parametrize("bad", [-1, 2**24, 2**32, 2**63 - 1])
def test_ids_out_of_range_are_refused(bad: int) -> None:
    good = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(InputError, match=str(bad)):
        count_overlaps(good, np.full((2, 2), bad))
