import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pansight.panoptic.regions import measure_regions


@given(
    hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12),
        elements=st.sampled_from([0, 1, 2, 65535, 65536, 2**24 - 1]),
    )
)
def test_areas_and_boxes_are_those_of_the_masks(ids: np.ndarray) -> None:
    found, areas, boxes = measure_regions(ids)
    assert found.tolist() == sorted(set(ids.ravel().tolist()) - {0})
    for id, area, (x, y, width, height) in zip(found, areas, boxes, strict=True):
        rows, columns = np.nonzero(ids == id)
        assert area == len(rows)
        assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_run_never_spans_two_rows() -> None:
    # The last pixel of a row and the first of the next share an id, and lie apart in the picture.
    found, areas, boxes = measure_regions(np.array([[0, 0, 5], [5, 0, 0]], dtype=np.int32))
    assert (found.tolist(), areas.tolist(), boxes.tolist()) == ([5], [2], [[0, 0, 3, 2]])
