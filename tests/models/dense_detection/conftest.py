"""A dense-detection model small enough for every test, and pictures of rectangles for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.categories import Categories
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig, DenseOutputs
from pansight.models.dense_detection.outputs import STRIDES
from pansight.models.preprocess import Preprocess

SMALL: dict[str, Any] = {
    "depth": 18,
    "width": 8,
    "backbone_norm": "batch",
    "backbone_eps": 1e-5,
    "frozen_stages": 0,
    "pyramid_channels": 16,
    "tower_layers": 1,
    "box_channels": 16,
    "class_channels": 8,
    "level_bounds": (16, 32, 64, 128),
    "box_start": "level",
}


@pytest.fixture
def thing_channels() -> Tensor:
    """Of the garden's categories."""
    return torch.tensor([0, -1, 1, -1])


@pytest.fixture
def small_config() -> Callable[..., DenseDetectionConfig]:
    """Configurations of a few thousand parameters, with changes."""
    return lambda **changes: DenseDetectionConfig(**{**SMALL, **changes})


@pytest.fixture
def small_dense(
    garden: Categories, small_config: Callable[..., DenseDetectionConfig]
) -> Callable[..., DenseDetection]:
    """Models of such configurations, with statistics of norms that do something."""

    def make(seed: int = 0, **changes: Any) -> DenseDetection:
        torch.manual_seed(seed)
        model = DenseDetection(small_config(**changes), garden, Preprocess())
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.7, 1.4)
        return model.eval()

    return make


@pytest.fixture
def random_outputs() -> Callable[..., DenseOutputs]:
    """What a network might say of pictures of a size, drawn at random; leaves that want gradients."""

    def make(height: int, width: int, dtype: Any = torch.float32, batch: int = 2) -> DenseOutputs:
        generator = torch.Generator().manual_seed(0)

        def draw(channels: int, h: int, w: int) -> Tensor:
            return torch.randn(batch, channels, h, w, generator=generator, dtype=dtype).requires_grad_()

        sizes = [(-(-height // s), -(-width // s)) for s in STRIDES]
        h8, w8 = sizes[0]
        offsets = tuple(
            (s * draw(4, *size).detach().exp()).requires_grad_()
            for s, size in zip(STRIDES, sizes, strict=True)
        )
        return DenseOutputs(
            tuple(draw(2, *size) for size in sizes),
            tuple(draw(1, *size) for size in sizes),
            offsets,
            draw(6, 2 * h8, 2 * w8),
            draw(4, h8, w8),
        )

    return make
