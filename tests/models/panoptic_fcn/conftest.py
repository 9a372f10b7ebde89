"""A Panoptic FCN small enough for every test, and pictures of rectangles for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.categories import Categories
from pansight.models.base import Target
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.panoptic_fcn.outputs import STRIDES, PanopticFCNOutputs
from pansight.models.preprocess import Preprocess

SMALL: dict[str, Any] = {
    "depth": 18,
    "width": 8,
    "backbone_norm": "batch",
    "frozen_stages": 0,
    "pyramid_channels": 16,
    "norm_group": 4,
    "encoder_channels": 8,
    "scales": ((1, 24), (12, 48), (24, 96), (48, 192), (96, 2048)),
    "positions": 3,
    "stuff_area": 16,
}


@pytest.fixture
def small_config() -> Callable[..., PanopticFCNConfig]:
    """Configurations of a few thousand parameters, with changes."""
    return lambda **changes: PanopticFCNConfig(**{**SMALL, **changes})


@pytest.fixture
def small_fcn(
    garden: Categories, small_config: Callable[..., PanopticFCNConfig]
) -> Callable[..., PanopticFCN]:
    """Models of such configurations that find something: statistics, offsets and last layers do not sleep."""

    def make(seed: int = 0, categories: Categories = garden, **changes: Any) -> PanopticFCN:
        torch.manual_seed(seed)
        model = PanopticFCN(small_config(**changes), categories, Preprocess())
        for name, tensor in model.state_dict().items():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.1, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.7, 1.4)
            elif "conv2_offset" in name or "offset_mask_conv" in name:
                tensor.uniform_(-0.2, 0.2)
            elif name.startswith(("position_head.out", "kernel_head.out", "thing_g", "stuff_g")):
                tensor.uniform_(-0.5, 0.5)
        return model.eval()

    return make


@pytest.fixture
def two_pictures(rectangles: Callable[..., Target]) -> list[Target]:
    """64 x 96, full and padded."""
    return [
        rectangles(64, 96, (1, (0, 0, 96, 30)), (0, (10, 5, 60, 50)), (2, (30, 30, 52, 60))),
        rectangles(64, 96, (3, (0, 30, 80, 60)), (2, (20, 20, 32, 33)), size=(60, 80)),
    ]


@pytest.fixture
def blank_outputs() -> Callable[..., PanopticFCNOutputs]:
    """What a network says that sees nothing: nowhere a thing, everywhere the semantic class 0."""

    def make(
        height: int, width: int, batch: int = 1, channels: int = 4, stuff: int = 3
    ) -> PanopticFCNOutputs:
        sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]

        def semantic(size: tuple[int, int]) -> Tensor:
            logits = torch.full((batch, stuff, *size), -9.0)
            logits[:, 0] = 2.0
            return logits

        return PanopticFCNOutputs(
            tuple(torch.full((batch, 2, *size), -9.0) for size in sizes),
            tuple(semantic(size) for size in sizes),
            tuple(torch.zeros(batch, channels, *size) for size in sizes),
            torch.zeros(batch, channels, height // 4, width // 4),
        )

    return make
