"""A network small enough to be run by the dozen, with weights that nobody trained."""

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig


@pytest.fixture(scope="session")
def small_model() -> YOSO:
    """A YOSO that gives several segments for any picture."""
    torch.manual_seed(16)
    config = YOSOConfig(
        depth=18,
        width=8,
        aggregated_dim=16,
        hidden_dim=32,
        proposals=10,
        feedforward_dim=64,
        heads=4,
        object_threshold=0,
        overlap_threshold=0,
    )
    categories = Categories(
        [
            Category("sky", False, 11, (70, 130, 180)),
            Category("road", False, 7, (128, 64, 128)),
            Category("car", True, 3, (0, 0, 142)),
            Category("person", True, 1, (220, 20, 60)),
        ],
        name="tests",
    )
    return YOSO(config, categories, Preprocess(short=64, longest=107)).eval()
