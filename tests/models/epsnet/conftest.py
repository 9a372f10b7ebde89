"""An EPSNet small enough for every test, pictures of rectangles for it, and outputs made by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.categories import Categories
from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.models.preprocess import Preprocess

SMALL: dict[str, Any] = {
    "depth": 18,
    "width": 8,
    "backbone_norm": "batch",
    "pyramid_channels": 16,
    "norm_groups": 4,
    "prototypes": 8,
    "fusion_channels": 8,
    "anchor_scales": (16, 32, 64, 96, 128),
    "anchor_input": 128,
    "stuff_area": 16,
}


@pytest.fixture
def small_config() -> Callable[..., EPSNetConfig]:
    """Configurations of a few thousand parameters, with changes."""
    return lambda **changes: EPSNetConfig(**{**SMALL, **changes})


@pytest.fixture
def small_epsnet(garden: Categories, small_config: Callable[..., EPSNetConfig]) -> Callable[..., EPSNet]:
    """Models of such configurations, with statistics and biases that do something."""

    def make(
        seed: int = 0, categories: Categories = garden, preprocess: Preprocess | None = None, **changes: Any
    ) -> EPSNet:
        torch.manual_seed(seed)
        model = EPSNet(small_config(**changes), categories, preprocess or Preprocess())
        for name, tensor in model.state_dict().items():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.1, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.7, 1.4)
            elif name.endswith(".bias"):
                tensor.uniform_(-0.3, 0.3)
        return model.eval()

    return make


@pytest.fixture
def crafted() -> Callable[..., EPSNetOutputs]:
    """Outputs whose prototypes are the masks themselves, one a detection."""

    def make(boxes: Tensor, probabilities: Tensor, masks: Tensor, semantics: Tensor) -> EPSNetOutputs:
        """Boxes n 4 (shares of the sides), class probabilities n 1 + t, masks n h w, logits s h w."""
        count = len(boxes)
        size = boxes[:, 2:] - boxes[:, :2]
        anchors = torch.cat((boxes[:, :2] + size / 2, size), 1)
        # a pixel of the mask has the logit 8, the others have 0, which is no more than one half
        coefficients = torch.eye(count)
        return EPSNetOutputs(
            torch.zeros(1, count, 4),
            probabilities.log()[None],
            coefficients[None],
            8 * masks.float()[None],
            semantics[None],
            anchors,
        )

    return make


@pytest.fixture
def random_outputs() -> Callable[..., EPSNetOutputs]:
    """What a network might say, drawn at random."""

    def make(seed: int = 0, batch: int = 2, anchors: int = 60, things: int = 3) -> EPSNetOutputs:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        places = torch.rand(anchors, 4, generator=generator) * torch.tensor([1, 1, 0.4, 0.4]) + 0.05
        return EPSNetOutputs(
            draw(batch, anchors, 4),
            2 * draw(batch, anchors, things + 1),
            draw(batch, anchors, 6).tanh(),
            draw(batch, 6, 20, 24).relu(),
            draw(batch, 5, 20, 24),
            places,
        )

    return make
