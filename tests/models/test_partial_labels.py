"""What an image's unlabelled ground may and may not teach, for every method."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pansight.categories import Categories
from pansight.models.base import PanopticModel, Target
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig
from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig

Rectangles = Callable[..., Target]

DOG, SKY, CAT, LAWN = range(4)

SMALL: dict[str, tuple[Any, Any]] = {
    "yoso": (
        YOSO,
        YOSOConfig(
            depth=18, width=8, aggregated_dim=16, hidden_dim=32, proposals=12, feedforward_dim=32, heads=4
        ),
    ),
    "dense_detection": (
        DenseDetection,
        DenseDetectionConfig(depth=18, width=8, pyramid_channels=32),
    ),
    "panoptic_fcn": (
        PanopticFCN,
        PanopticFCNConfig(depth=18, width=8, pyramid_channels=16, norm_group=4, encoder_channels=8),
    ),
    "epsnet": (EPSNet, EPSNetConfig(depth=18, width=8, pyramid_channels=64)),
}


@pytest.fixture(params=sorted(SMALL))
def model(request: pytest.FixtureRequest, garden: Categories) -> PanopticModel:
    """A small network of each method; its answers hardly matter here."""
    torch.manual_seed(0)
    kind, config = SMALL[request.param]
    return kind(config, garden, Preprocess()).eval()


def total(model: PanopticModel, images: torch.Tensor, targets: list[Target]) -> torch.Tensor:
    torch.manual_seed(3)  # of the points
    return torch.stack(list(model.losses(model(images), targets).values())).sum()


def images(count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, 128, 192, generator=torch.Generator().manual_seed(1))


def complete(*categories: int) -> torch.Tensor:
    mask = torch.zeros(4, dtype=torch.bool)
    mask[list(categories)] = True
    return mask


def test_everything_complete_is_everything_labelled(model: PanopticModel, rectangles: Rectangles) -> None:
    target = rectangles(128, 192, (SKY, (0, 0, 192, 40)), (DOG, (20, 60, 80, 120)))
    plain = total(model, images(), [target])
    told = total(model, images(), [target._replace(complete=complete(DOG, SKY, CAT, LAWN))])
    torch.testing.assert_close(told, plain, rtol=1e-4, atol=1e-4)


def test_an_image_without_labels_teaches_nothing_but_what_is_not_there(
    model: PanopticModel, rectangles: Rectangles
) -> None:
    """Nothing complete: no gradient at all. Dogs complete: some."""
    nothing = rectangles(128, 192)
    strengths = {}
    for name, known in (("none", complete()), ("dog", complete(DOG))):
        model.zero_grad()
        total(model, images(), [nothing._replace(complete=known)]).backward()
        gradients = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        strengths[name] = float(torch.stack(gradients).max())
    if model.method != "yoso":
        assert strengths["dog"] > 0
    if model.method not in ("yoso", "epsnet"):
        # YOSO: a query whose mask is empty lies nowhere, and is asked for "no object" as ever. EPSNet: its
        # semantic map is told that unlabelled ground is some category, if not which
        assert strengths["none"] < 1e-6


def test_labelled_ground_beside_it_still_teaches(model: PanopticModel, rectangles: Rectangles) -> None:
    target = rectangles(128, 192, (SKY, (0, 0, 192, 40)), (DOG, (20, 60, 80, 120)))
    total(model, images(), [target._replace(complete=complete())]).backward()
    norms = [float(p.grad.norm()) for p in model.parameters() if p.grad is not None]
    assert max(norms) > 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_whole_and_partial_images_share_a_batch(model: PanopticModel, rectangles: Rectangles) -> None:
    whole = rectangles(128, 192, (LAWN, (0, 60, 192, 128)), (CAT, (20, 60, 80, 120)))
    partial = rectangles(128, 192, (LAWN, (0, 60, 192, 128)))._replace(complete=complete(DOG))
    value = total(model, images(2), [whole, partial])
    assert torch.isfinite(value)


def test_ground_and_what_cannot_be_there(rectangles: Rectangles) -> None:
    """A crowd is unlabelled ground, and its category not complete there; padding is no ground."""
    target = rectangles(8, 8, (SKY, (0, 0, 8, 4)), (DOG, (0, 4, 4, 6)), crowd=(1,), size=(6, 8))._replace(
        complete=complete(DOG, CAT)
    )
    ground = target.unknown()
    assert not ground[:4].any() and ground[4:6].all() and not ground[6:].any()
    assert target.impossible(4).tolist() == [False, False, True, False]
