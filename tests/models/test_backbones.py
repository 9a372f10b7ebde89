"""Every method takes every backbone; the papers' own keys stay."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pansight.categories import Categories
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig
from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.nn.conv import FrozenBatchNorm2d
from pansight.nn.efficientnet_lite import EfficientNetLite

METHODS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "yoso": (
        YOSO,
        YOSOConfig,
        {"aggregated_dim": 16, "hidden_dim": 32, "proposals": 9, "feedforward_dim": 32, "heads": 4},
    ),
    "dense_detection": (DenseDetection, DenseDetectionConfig, {"pyramid_channels": 32}),
    "panoptic_fcn": (
        PanopticFCN,
        PanopticFCNConfig,
        {"pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8},
    ),
    "epsnet": (EPSNet, EPSNetConfig, {"pyramid_channels": 64}),
}


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_light_backbone_runs_and_folds(method: str, garden: Categories) -> None:
    kind, config, fields = METHODS[method]
    torch.manual_seed(0)
    model = kind(config(backbone="efficientnet_lite0", **fields), garden, Preprocess()).eval()
    assert sum(isinstance(one, EfficientNetLite) for one in model.modules()) == 1
    images = torch.randn(1, 3, 64, 128)
    with torch.inference_mode():
        model(images)
        folded = model.optimized()
        folded(images)
    light = next(one for one in folded.modules() if isinstance(one, EfficientNetLite))
    assert not any(isinstance(one, FrozenBatchNorm2d) for one in light.modules())


def test_freezing_is_by_parts(garden: Categories) -> None:
    config = YOSOConfig(backbone="efficientnet_lite0", frozen_stages=2, **METHODS["yoso"][2])
    model = YOSO(config, garden, Preprocess())
    learning = {name for name, p in model.backbone.named_parameters() if p.requires_grad}
    assert min(int(name.split(".")[1]) for name in learning) == 3
    assert not any(name.startswith("stem") for name in learning)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_name_that_is_none_is_refused(method: str) -> None:
    _, config, fields = METHODS[method]
    with pytest.raises(ValidationError, match="no backbone 'vgg'; use one of resnet, resnet18"):
        config(backbone="vgg", **fields)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_residual_network_by_name_is_the_same_as_by_depth(method: str, garden: Categories) -> None:
    kind, config, fields = METHODS[method]
    named = kind(config(backbone="resnet34", width=8, **fields), garden, Preprocess())
    deep = kind(config(depth=34, width=8, **fields), garden, Preprocess())
    shapes = [{key: t.shape for key, t in one.state_dict().items()} for one in (named, deep)]
    assert shapes[0] == shapes[1]
