"""Small truth, and a source of it that breaks where it is told to."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.panoptic import PanopticMap

CLASSES = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1, "color": [0, 0, 142]},
        {"id": 5, "name": "person", "isthing": 1, "color": [220, 20, 60]},
        {"id": 9, "name": "road", "isthing": 0, "color": [128, 64, 128]},
    ],
    name="street",
)


class Truths:
    """Maps of a road with a car, a person and a crowd, different for each number."""

    def __init__(self, count: int, broken: Sequence[int] = ()) -> None:
        self.categories = CLASSES
        self.names = [f"p{number}.jpg" for number in range(count)]
        self.image_ids: Sequence[int | str] = list(range(100, 100 + count))
        self.broken = broken

    def __len__(self) -> int:
        return len(self.names)

    def truth(self, index: int) -> PanopticMap:
        if index in self.broken:
            raise DataError(f"p{index}.png: broken")
        ids = np.full((20, 30), 7, np.int32)
        ids[3:9, 2 : 5 + index % 20] = 300
        ids[10:14, 4:8] = 70000
        ids[15:18, 20:30] = 12
        ids[0, 0] = 0
        table = [(7, 2), (300, 0), (70000, 1), (12, 1, None, True)]
        return PanopticMap.from_table(ids, table, CLASSES)


@pytest.fixture
def make_truths() -> Callable[..., Truths]:
    """`make_truths(count, broken=(2,))`: a source of `count` maps, of which some cannot be read."""
    return Truths
