"""A YOSO small enough for every test."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig

GARDEN = Categories(
    [
        Category("sky", False, 7, (0, 0, 255)),
        Category("lawn", False, 8, (0, 255, 0)),
        Category("dog", True, 9, (255, 0, 0)),
        Category("cat", True, 11, (255, 255, 0)),
    ],
    name="garden",
)


@pytest.fixture
def small_config() -> Callable[..., YOSOConfig]:
    """Configurations of a YOSO of a few thousand parameters, with changes."""

    def make(**changes: Any) -> YOSOConfig:
        fields: dict[str, Any] = {
            "depth": 18,
            "width": 8,
            "aggregated_dim": 12,
            "hidden_dim": 16,
            "heads": 2,
            "feedforward_dim": 24,
            "proposals": 7,
            "points": 64,
        }
        return YOSOConfig(**{**fields, **changes})

    return make


@pytest.fixture
def small_yoso(small_config: Callable[..., YOSOConfig]) -> Callable[..., YOSO]:
    """Models of such configurations, with statistics of norms that do something."""

    def make(seed: int = 0, **changes: Any) -> YOSO:
        torch.manual_seed(seed)
        model = YOSO(small_config(**changes), GARDEN, Preprocess())
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.7, 1.4)
        return model.eval()

    return make
