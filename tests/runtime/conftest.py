"""A network small enough to be run by the dozen, with weights that nobody trained."""

from collections.abc import Callable

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig

STREET = Categories(
    [
        Category("sky", False, 11, (70, 130, 180)),
        Category("road", False, 7, (128, 64, 128)),
        Category("car", True, 3, (0, 0, 142)),
        Category("person", True, 1, (220, 20, 60)),
    ],
    name="tests",
)


@pytest.fixture(scope="session")
def small_fcn(finding_fcn: Callable[[Categories], PanopticFCN]) -> PanopticFCN:
    """A Panoptic FCN that finds instances in any picture."""
    return finding_fcn(STREET)


@pytest.fixture(scope="session")
def small_model(small_config: YOSOConfig) -> YOSO:
    """A YOSO that gives several segments for any picture."""
    torch.manual_seed(16)
    return YOSO(small_config, STREET, Preprocess(short=64, longest=107)).eval()
