"""The dense-detection models by name, and files in every spelling of their keys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pansight.errors import CheckpointError
from pansight.zoo import load_model, preset
from pansight.zoo.methods import construct, parameter_count
from pansight.zoo.official import load_official, read_state

State = dict[str, Tensor]


def blank(name: str) -> torch.nn.Module:
    spec = preset(name)
    return construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)


@pytest.mark.parametrize(
    ("name", "parameters", "trained"),
    [("dense-r50-cityscapes", 30_624_107, 30_401_707), ("dense-r50-coco", 31_363_877, 31_141_477)],
)
def test_parameters(name: str, parameters: int, trained: int) -> None:
    model = blank(name)
    assert parameter_count(model) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained


def test_entries_of_the_released_file() -> None:
    state = blank("dense-r50-cityscapes").state_dict()
    assert len(state) == 328
    assert sum(tensor.numel() for tensor in state.values()) == 30_730_347
    shapes = {
        "backbone.body.conv1.weight": (64, 3, 7, 7),
        "backbone.body.bn1.running_var": (64,),
        "backbone.body.layer3.5.conv2.weight": (256, 256, 3, 3),
        "backbone.body.layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
        "backbone.body.layer4.0.downsample.1.running_mean": (2048,),
        "backbone.fpn.inner_blocks.2.weight": (256, 2048, 1, 1),
        "backbone.fpn.layer_blocks.0.bias": (256,),
        "backbone.fpn.extra_blocks.p7.weight": (256, 256, 3, 3),
        "panoptic_head.cls_tower.0.weight": (128, 256, 3, 3),
        "panoptic_head.bbox_tower.10.bias": (256,),
        "panoptic_head.cls_logits.weight": (19, 640, 3, 3),
        "panoptic_head.box_cls_logits.weight": (8, 128, 3, 3),
        "panoptic_head.levelness.weight": (6, 1280, 3, 3),
        "panoptic_head.scales.4.scale": (1,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    order = [key.split(".")[1] for key in state if key.startswith("panoptic_head")]
    parts = ("cls_tower", "bbox_tower", "cls_logits", "box_cls_logits", "bbox_pred", "centerness")
    assert tuple(dict.fromkeys(order)) == (*parts, "levelness", "scales")


def test_what_the_released_code_says() -> None:
    cityscapes, coco = preset("dense-r50-cityscapes"), preset("dense-r50-coco")
    for spec in (cityscapes, coco):
        assert (spec.preprocess.channels, spec.preprocess.std) == ("bgr", (1, 1, 1))
        assert spec.preprocess.mean == (102.9801, 115.9465, 122.7717)
        config: Any = spec.config
        assert (config.backbone_eps, config.merge.mask_threshold, config.nms_threshold) == (0, 0.4, 0.6)
    assert cityscapes.preprocess.target_size(1024, 2048) == (1024, 2048)
    assert coco.preprocess.target_size(480, 640) == (800, 1067)
    assert [figure.pq for spec in (cityscapes, coco) for figure in spec.figures] == [58.8, 37.1]
    with pytest.raises(CheckpointError, match="no published weights"):
        load_model("dense-r50-coco")


def newer(state: State) -> State:
    """torchvision's pyramid since 0.13."""
    changed = {}
    for key, tensor in state.items():
        for blocks in ("inner_blocks", "layer_blocks"):
            for level in range(3):
                key = key.replace(f"{blocks}.{level}.", f"{blocks}.{level}.0.")
        changed[key] = tensor
    assert changed.keys() != state.keys()
    return changed


def counted(state: State) -> State:
    """Norms that were once not frozen."""
    counts = {
        key.replace("running_var", "num_batches_tracked"): torch.tensor(7)
        for key in state
        if "running_var" in key
    }
    return {**state, **counts}


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "spelled",
    [dict, newer, counted, prefixed("module."), prefixed("model."), lambda s: prefixed("model.")(newer(s))],
    ids=["as released", "newer torchvision", "with counts", "module.", "model.", "both"],
)
def test_files_in_any_spelling(tmp_path: Path, spelled: Callable[[State], State]) -> None:
    spec = preset("dense-r50-cityscapes")
    torch.manual_seed(0)
    small = spec.config.model_copy(update={"depth": 18, "width": 4, "pyramid_channels": 8})
    small = small.model_copy(update={"box_channels": 8, "class_channels": 8})
    model = construct(spec.method, small, spec.categories, spec.preprocess)
    path = tmp_path / "released.pth"
    torch.save(spelled(dict(model.state_dict())), path)
    from dataclasses import replace

    found = load_official(replace(spec, config=small), read_state(path), path)
    assert list(found.state_dict()) == list(model.state_dict())
    for key, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor), key


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    state = dict(blank("dense-r50-cityscapes").state_dict())
    state["panoptic_head.extra.weight"] = state.pop("panoptic_head.levelness.bias")
    path = tmp_path / "wrong.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"1 missing: panoptic_head.levelness.bias; 1 unexpected"):
        load_model("dense-r50-cityscapes", weights=path)
