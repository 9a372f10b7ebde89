"""Losses against their formulas."""

import math

import pytest
import torch

from pansight.nn.losses import (
    at_least_float32,
    bootstrapped_cross_entropy,
    dice_loss,
    mean_over_processes,
    sigmoid_focal_loss,
)


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


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.0), (0.5, 1.5)])
def test_focal_loss_by_hand(alpha: float, gamma: float) -> None:
    logits = torch.tensor([-3.0, -0.2, 0.0, 1.7, 4.0])
    expected = []
    for target in (0.0, 1.0):
        for x in logits.tolist():
            p = 1 / (1 + math.exp(-x))
            right, balance = (p, alpha) if target else (1 - p, 1 - alpha)
            expected.append(-balance * (1 - right) ** gamma * math.log(right))
    targets = torch.tensor([0.0, 1.0]).repeat_interleave(5)
    assert sigmoid_focal_loss(logits.repeat(2), targets, alpha, gamma).tolist() == pytest.approx(
        expected, rel=1e-4
    )


def test_focal_loss_keeps_finite_and_its_gradient_is_right() -> None:
    sure = sigmoid_focal_loss(torch.tensor([-200.0, 200.0]), torch.tensor([1.0, 0.0]))
    assert sure.tolist() == pytest.approx([0.25 * 200, 0.75 * 200])
    x = torch.randn(8, dtype=torch.float64, requires_grad=True)
    targets = (torch.arange(8) % 2).double()
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, targets), x)


def test_bootstrapping_takes_the_worst_of_each_picture() -> None:
    """Two categories and logits (0, x): the loss of label 0 is ln(1 + e^x)."""
    x = torch.arange(20.0).reshape(2, 1, 2, 5) / 4
    logits = torch.cat((torch.zeros_like(x), x), dim=1)
    labels = torch.zeros(2, 2, 5, dtype=torch.int64)
    labels[1, 1] = -1
    worst = [[9, 8, 7], [14, 13]]  # 3 of 10; 1.5 of 5, rounded up
    means = [sum(math.log1p(math.exp(v / 4)) for v in row) / len(row) for row in worst]
    loss = bootstrapped_cross_entropy(logits, labels, 0.3)
    assert loss.item() == pytest.approx(sum(means) / 2)
    # a picture without labels has no say
    labels[0] = -1
    assert bootstrapped_cross_entropy(logits, labels, 0.3).item() == pytest.approx(means[1])


def test_bootstrapping_without_any_label_is_zero_with_a_gradient() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = bootstrapped_cross_entropy(logits, torch.full((2, 4, 4), -1), 0.3)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.any()


def test_normalisers_are_at_least_one() -> None:
    assert mean_over_processes(torch.tensor(0.0)) == 1
    assert mean_over_processes(torch.tensor(7.0)) == 7


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_precision_only_rises(given: torch.dtype, wanted: torch.dtype) -> None:
    assert at_least_float32(torch.zeros(2, dtype=given)).dtype == wanted
