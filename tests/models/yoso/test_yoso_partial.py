"""YOSO on images that are not labelled whole: which proposals and which points count."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.yoso.config import YOSOConfig
from pansight.models.yoso.losses import class_loss, on_ground, truth_of, yoso_losses
from pansight.models.yoso.matching import match, pairwise_costs

IS_THING = torch.tensor([True, False, True, False])
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.1])
CONFIG = YOSOConfig(points=512)


def half_labelled(category: int, complete: list[bool]) -> Target:
    """One segment in the upper left quarter; the upper half is labelled with category 1, the lower is not."""
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[0, :16, :16] = True
    masks[1, :16, 16:] = True
    return Target(
        masks, torch.tensor([category, 1]), torch.zeros(2, dtype=torch.bool), (32, 32), torch.tensor(complete)
    )


def box(top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    logits = torch.full((8, 8), -8.0)
    logits[top:bottom, left:right] = 8
    return logits


def test_stuff_may_go_on_where_nobody_labelled() -> None:
    """The mask that covers the ground, too, costs a thing dearly and stuff nothing."""
    tall = box(0, 8, 0, 4)[None]
    tight = box(0, 4, 0, 4)[None]
    costs = {}
    for category in (0, 3):
        truth = truth_of(half_labelled(category, [False] * 4), IS_THING)
        stage = [torch.cat((tall, tight))]
        found = match(None, stage[0], truth.categories, truth.masks, CONFIG, truth.unknown)
        costs[category] = found
    thing_rows, thing_segments = costs[0]
    assert thing_rows[thing_segments == 0].tolist() == [1]
    weights = torch.ones(2, 4)
    weights[0, 2:] = 0
    targets = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    logits = torch.tensor([[9.0, 9, 9, 9], [9, 9, -9, -9]])
    free = pairwise_costs(logits, targets, weights)
    assert free[1][0, 0] < 0.01 and free[0][0, 0] < 0.01
    bound = pairwise_costs(logits, targets)
    torch.testing.assert_close(pairwise_costs(logits, targets, torch.ones(2, 4)), bound)
    assert bound[1][0, 0] > 0.25


def test_mask_losses_ignore_the_ground_for_stuff_alone() -> None:
    from pansight.models.yoso.head import StagePrediction

    tall = torch.stack((box(0, 8, 0, 4), box(0, 4, 4, 8)))[None].requires_grad_()
    for category, free in ((3, True), (0, False)):
        torch.manual_seed(0)
        losses, _ = yoso_losses(
            [StagePrediction(None, tall)],
            [half_labelled(category, [False] * 4)],
            WEIGHTS,
            CONFIG,
            IS_THING,
        )
        assert (losses["s0_loss_dice"] < 0.8) == free
    # stuff that is complete ends where the ground begins
    torch.manual_seed(0)
    complete = half_labelled(3, [False, False, False, True])
    losses, _ = yoso_losses([StagePrediction(None, tall)], [complete], WEIGHTS, CONFIG, IS_THING)
    assert losses["s0_loss_dice"] > 0.8


def test_proposals_on_the_ground_need_not_be_nothing() -> None:
    """Proposal 0 lies on the ground, 1 on labelled pixels, 2 nowhere."""
    masks = torch.stack((box(4, 8, 0, 8), box(0, 4, 0, 8), box(0, 0, 0, 0)))
    target = half_labelled(0, [True, False, False, False])
    truth = truth_of(target, IS_THING)
    assert truth.unknown is not None
    assert on_ground(masks, truth.unknown.ground).tolist() == [True, False, False]
    nothing = torch.zeros(0, dtype=torch.int64)
    logits = torch.zeros(1, 3, 5).requires_grad_()
    loss = class_loss(logits, [truth], [(nothing, nothing)], WEIGHTS, masks[None])
    loss.backward()
    assert logits.grad is not None
    # away from the complete category alone, and alike towards all others
    torch.testing.assert_close(logits.grad[0, 0, 1:4], logits.grad[0, 0, 4:].expand(3))
    assert logits.grad[0, 0, 0] > 0 > logits.grad[0, 0, 4]
    expected = F.cross_entropy(torch.zeros(2, 5), torch.tensor([4, 4]))
    open_term = torch.tensor(5 / 4).log()
    torch.testing.assert_close(loss, (2 * expected + open_term) / 3)


def test_fully_labelled_images_are_scored_as_ever(rectangles: Callable[..., Target]) -> None:
    target = rectangles(32, 32, (0, (0, 0, 16, 16)), (1, (16, 0, 32, 16)))
    truth = truth_of(target, IS_THING)
    assert truth.unknown is None
