import dataclasses

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.panoptic import PanopticMap

CATEGORIES = Categories([Category("sky", False, 1, (0, 0, 255))])


def test_a_sample_knows_its_size_and_cannot_be_changed() -> None:
    panoptic = PanopticMap.from_table(np.ones((3, 5), dtype=np.int32), [(1, 0)], CATEGORIES)
    sample = Sample(np.zeros((3, 5, 3), dtype=np.uint8), panoptic, 7, "a.jpg")
    assert (sample.height, sample.width) == (3, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.file_name = "b.jpg"  # type: ignore[misc]


def test_picture_and_truth_must_be_of_one_size() -> None:
    panoptic = PanopticMap.from_table(np.ones((3, 5), dtype=np.int32), [(1, 0)], CATEGORIES)
    with pytest.raises(ValueError, match=r"a.jpg: the image is 3 x 5 pixels, its panoptic map 5 x 3"):
        Sample(np.zeros((5, 3, 3), dtype=np.uint8), panoptic, 7, "a.jpg")
