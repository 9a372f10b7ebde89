"""A network small enough to be run by the dozen, with weights that nobody trained."""

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig


@pytest.fixture(scope="session")
def small_model(small_config: YOSOConfig) -> YOSO:
    """A YOSO that gives several segments for any picture."""
    torch.manual_seed(16)
    categories = Categories(
        [
            Category("sky", False, 11, (70, 130, 180)),
            Category("road", False, 7, (128, 64, 128)),
            Category("car", True, 3, (0, 0, 142)),
            Category("person", True, 1, (220, 20, 60)),
        ],
        name="tests",
    )
    return YOSO(small_config, categories, Preprocess(short=64, longest=107)).eval()
