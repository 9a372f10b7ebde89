"""Objects that may overlap, as people hold them in their hands."""

import numpy as np
import pytest

from pansight.errors import InputError
from pansight.panoptic.instances import Instances


def parts(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.zeros((count, 4, 6), dtype=np.bool_),
        np.zeros((count, 4), dtype=np.float32),
        np.zeros(count, dtype=np.int64),
        np.ones(count, dtype=np.float32),
    )


@pytest.mark.parametrize("count", [0, 3])
def test_they_are_counted(count: int) -> None:
    found = Instances(*parts(count))
    assert len(found) == count
    assert repr(found) == f"Instances(6x4, {count} objects)"


@pytest.mark.usefixtures("unchecked_shapes")
def test_one_of_each_a_mask() -> None:
    masks, boxes, categories, _ = parts(2)
    with pytest.raises(InputError, match=r"2 masks have \[2, 2, 3\] boxes, categories and scores"):
        Instances(masks, boxes, categories, parts(3)[3])
