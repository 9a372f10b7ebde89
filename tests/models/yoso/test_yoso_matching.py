"""Matching against loops."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.errors import PansightError
from pansight.models.yoso import YOSOConfig
from pansight.models.yoso.matching import match, pairwise_costs
from pansight.nn.points import sample_points

Make = Callable[..., YOSOConfig]


def literal_costs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The fact sheet's section 5, pair by pair."""
    cross_entropy = torch.zeros(len(logits), len(targets))
    dice = torch.zeros(len(logits), len(targets))
    for n, x in enumerate(logits):
        for m, t in enumerate(targets):
            cross_entropy[n, m] = (F.softplus(-x) * t + F.softplus(x) * (1 - t)).mean()
            p = x.sigmoid()
            dice[n, m] = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    return cross_entropy, dice


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_costs_equal_the_loops(scale: float) -> None:
    torch.manual_seed(0)
    logits, targets = scale * torch.randn(5, 200), torch.rand(3, 200)
    for got, expected in zip(pairwise_costs(logits, targets), literal_costs(logits, targets), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("with_classes", [True, False])
def test_pairs_are_the_cheapest_of_all(small_config: Make, with_classes: bool) -> None:
    config = small_config(class_weight=2.0, mask_weight=5.0, dice_weight=5.0)
    torch.manual_seed(1)
    class_logits = 3 * torch.randn(5, 5) if with_classes else None
    mask_logits = 4 * torch.randn(5, 4, 6)
    categories = torch.tensor([3, 0, 3])
    masks = (torch.rand(3, 16, 24) > 0.5).float()
    torch.manual_seed(9)
    queries, segments = match(class_logits, mask_logits, categories, masks, config)
    torch.manual_seed(9)
    points = torch.rand(1, config.points, 2)  # one set for all, the first thing drawn
    x = sample_points(mask_logits, points.expand(5, -1, -1).contiguous())
    t = sample_points(masks, points.expand(3, -1, -1).contiguous())
    cross_entropy, dice = literal_costs(x, t)
    cost = 5 * cross_entropy + 5 * dice
    if class_logits is not None:
        cost = cost - 2 * class_logits.softmax(-1)[:, categories]
    best = min(itertools.permutations(range(5), 3), key=lambda rows: float(cost[list(rows), range(3)].sum()))
    assert queries.tolist() == sorted(best)
    assert [best.index(query) for query in queries.tolist()] == segments.tolist()


def test_more_segments_than_proposals(small_config: Make) -> None:
    torch.manual_seed(0)
    masks = (torch.rand(6, 8, 8) > 0.5).float()
    queries, segments = match(
        torch.randn(2, 5), torch.randn(2, 8, 8), torch.arange(6) % 4, masks, small_config()
    )
    assert queries.tolist() == [0, 1]
    assert len(set(segments.tolist())) == 2


def test_nothing_to_match_still_draws_its_points(small_config: Make) -> None:
    """The published order of random numbers holds with and without segments."""
    config = small_config()
    torch.manual_seed(3)
    pairs = match(
        None, torch.randn(2, 4, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 16, 16), config
    )
    after = torch.rand(1)
    torch.manual_seed(3)
    torch.randn(2, 4, 4)
    torch.rand(1, config.points, 2)
    assert torch.equal(after, torch.rand(1))
    assert [len(side) for side in pairs] == [0, 0]


def test_broken_outputs_are_one_clear_error(small_config: Make) -> None:
    masks = torch.ones(1, 8, 8)
    with pytest.raises(PansightError, match="not finite; lower the learning rate"):
        match(None, torch.full((2, 4, 4), float("nan")), torch.tensor([0]), masks, small_config())
