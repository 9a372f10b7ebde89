"""Dice loss against its formula."""

import math

import pytest
import torch

from pansight.nn.losses import dice_loss


def test_dice_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [50.0, -50.0], [-50.0, 50.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    # probabilities 1/2 and 3/4: overlap 1/2; a perfect mask; a mask that has nothing right
    expected = [1 - (2 * 0.5 + 1) / (1.25 + 1 + 1), 0.0, 1 - 1 / 3]
    assert dice_loss(logits, targets).tolist() == pytest.approx(expected, abs=1e-6)


def test_smoothing_may_be_chosen_and_keeps_empty_rows_finite() -> None:
    empty = torch.full((1, 4), -200.0)
    assert dice_loss(empty, torch.zeros(1, 4)).tolist() == pytest.approx([0.0])
    half = dice_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), smooth=0.5)
    assert half.tolist() == pytest.approx([1 - 1.5 / 2.5])


def test_gradient_pulls_towards_the_target() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(dice_loss(logits, torch.tensor([[1.0, 0.0]])).sum(), logits)
    assert gradient[0, 0] < 0 < gradient[0, 1]
