"""Class layers know which row is whose, in every method."""

from typing import Any

import pytest
import torch

from pansight.categories import Categories, Category
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.training.class_layers import plain, take_over
from pansight.zoo.methods import construct, find_method

SMALL: dict[str, dict[str, Any]] = {
    "yoso": {
        "depth": 18, "width": 8, "aggregated_dim": 16, "hidden_dim": 32, "proposals": 10,
        "feedforward_dim": 64, "heads": 4,
    },
    "dense_detection": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "box_channels": 16, "class_channels": 16,
    },
    "panoptic_fcn": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8,
    },
    "epsnet": {"depth": 18, "width": 8, "pyramid_channels": 16, "norm_groups": 4, "prototypes": 8},
}  # fmt: skip


def categories(*names: str) -> Categories:
    """Capitals are things."""
    return Categories(
        [Category(name, name[0].isupper(), i, (i, i, i)) for i, name in enumerate(names, 1)], "some"
    )


OLD = categories("Car", "sky", "Traffic_Light", "road", "Cow")
NEW = categories("road", "Traffic light", "mud", "Car", "Robot", "sky")


def build(method: str, some: Categories) -> PanopticModel:
    return construct(method, find_method(method).config(**SMALL[method]), some, Preprocess())


@pytest.mark.parametrize("method", SMALL)
def test_every_tensor_that_grows_has_its_rows(method: str) -> None:
    model = build(method, OLD)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    larger = build(
        method, categories("Car", "sky", "Traffic_Light", "road", "Cow", "Tree", "mud")
    ).state_dict()
    grows = {key for key, shape in shapes.items() if larger[key].shape != shape}
    rows = model.class_rows()
    assert rows.keys() == grows
    for key, labels in rows.items():
        assert len(labels) == shapes[key][0] == len(set(labels)), key


@pytest.mark.parametrize("method", SMALL)
def test_rows_of_equal_names_go_over(method: str) -> None:
    torch.manual_seed(1)
    source, model = build(method, OLD), build(method, NEW)
    state, taken = take_over(source, model)
    assert taken.kept == ("road", "Traffic light", "Car", "sky")
    assert taken.fresh == ("mud", "Robot")
    line = "kept from old: road, Traffic light, Car, sky (4 of 6); newly initialised: mud, Robot"
    assert line in taken.line("old")
    model.load_state_dict(state, strict=False)
    ours, theirs = model.class_rows(), source.class_rows()
    for key, labels in ours.items():
        before = [plain(label) for label in theirs[key]]
        copied = 0
        for row, label in enumerate(labels):
            if plain(label) in before:
                copied += 1
                old = source.state_dict()[key][before.index(plain(label))]
                assert torch.equal(model.state_dict()[key][row], old), (key, label)
        assert copied >= 2, key
    for key in source.state_dict().keys() - theirs.keys():
        assert torch.equal(model.state_dict()[key], source.state_dict()[key]), key


def test_a_thing_that_was_stuff_keeps_what_means_the_same() -> None:
    """Dense detections: its semantic row, not its box's."""
    torch.manual_seed(1)
    source = build("dense_detection", categories("Car", "sky"))
    model = build("dense_detection", categories("Car", "Sky"))
    state, taken = take_over(source, model)
    assert taken.kept == ("Car", "Sky")
    boxes = "panoptic_head.box_cls_logits.weight"
    assert torch.equal(state[boxes][0], source.state_dict()[boxes][0])
    assert torch.equal(state[boxes][1], model.state_dict()[boxes][1])
