"""Categories and pictures that all methods are tried on."""

from collections.abc import Callable

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.base import Target

# things stand between stuff, so that nothing can count on where they are
GARDEN = Categories(
    [
        Category("dog", True, 9, (255, 0, 0)),
        Category("sky", False, 7, (0, 0, 255)),
        Category("cat", True, 11, (255, 255, 0)),
        Category("lawn", False, 8, (0, 255, 0)),
    ],
    name="garden",
)


@pytest.fixture
def garden() -> Categories:
    """Two kinds of things, two of stuff."""
    return GARDEN


@pytest.fixture
def rectangles() -> Callable[..., Target]:
    """Targets of rectangles, later ones in front; whatever they leave is not labelled."""

    def make(
        height: int,
        width: int,
        *parts: tuple[int, tuple[int, int, int, int]],
        crowd: tuple[int, ...] = (),
        size: tuple[int, int] | None = None,
    ) -> Target:
        """Parts are category and x1, y1, x2, y2; `crowd` names parts by number."""
        ids = torch.full((height, width), -1)
        for number, (_, (x1, y1, x2, y2)) in enumerate(parts):
            ids[y1:y2, x1:x2] = number
        masks = ids == torch.arange(len(parts))[:, None, None]
        categories = torch.tensor([category for category, _ in parts], dtype=torch.int64)
        is_crowd = torch.tensor([number in crowd for number in range(len(parts))], dtype=torch.bool)
        return Target(masks, categories, is_crowd, size or (height, width))

    return make
