"""The eight losses against a slow transcription of the fact sheet's section 5."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.yoso import YOSOConfig
from pansight.models.yoso.head import StagePrediction
from pansight.models.yoso.losses import segment_count, truth_of, yoso_losses
from pansight.models.yoso.matching import match

Make = Callable[..., YOSOConfig]
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.1])


def read(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of one map [h w] at points [p 2], x and y in 0..1; 0 outside."""
    grid = (2 * points - 1)[None, None]
    return F.grid_sample(image[None, None], grid, align_corners=False)[0, 0, 0]


def literal_losses(
    stages: list[StagePrediction], truths: list[tuple[Tensor, Tensor]], config: YOSOConfig
) -> dict[str, Tensor]:
    """Pair by pair. `truths` are categories and float masks, without crowds."""
    count = max(1, sum(len(categories) for categories, _ in truths))
    losses: dict[str, Tensor] = {}
    for s, (class_logits, mask_logits) in enumerate(stages):
        pairs = []
        for b, (categories, masks) in enumerate(truths):
            queries, segments = match(
                None if class_logits is None else class_logits[b], mask_logits[b], categories, masks, config
            )
            pairs += [(b, q, m) for q, m in zip(queries.tolist(), segments.tolist(), strict=True)]
        if class_logits is not None:
            total, weight_sum = torch.zeros(()), 0.0
            for b in range(len(truths)):
                for q in range(class_logits.shape[1]):
                    label = 4
                    for b2, q2, m in pairs:
                        if (b2, q2) == (b, q):
                            label = int(truths[b][0][m])
                    weight = float(WEIGHTS[label])
                    total = total - weight * class_logits[b, q].log_softmax(-1)[label]
                    weight_sum += weight
            losses[f"s{s}_loss_ce"] = config.class_weight * total / weight_sum
        draws = torch.rand(len(pairs), int(config.points * config.oversample), 2)
        uncertain = int(config.importance * config.points)
        fresh = torch.rand(len(pairs), config.points - uncertain, 2)
        cross_entropy, dice = torch.zeros(()), torch.zeros(())
        for row, (b, q, m) in enumerate(pairs):
            best = read(mask_logits[b, q], draws[row]).abs().argsort()[:uncertain]
            points = torch.cat((draws[row, best], fresh[row]))
            x, t = read(mask_logits[b, q], points), read(truths[b][1][m], points)
            cross_entropy = cross_entropy + (F.softplus(-x) * t + F.softplus(x) * (1 - t)).mean()
            p = x.sigmoid()
            dice = dice + 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
        losses[f"s{s}_loss_mask"] = config.mask_weight * cross_entropy / count
        losses[f"s{s}_loss_dice"] = config.dice_weight * dice / count
    return losses


def predictions(batch: int = 2, proposals: int = 7, seed: int = 0) -> list[StagePrediction]:
    torch.manual_seed(seed)
    return [
        StagePrediction(
            None if stage == 0 else torch.randn(batch, proposals, 5),
            (3 * torch.randn(batch, proposals, 8, 12)).requires_grad_(),
        )
        for stage in range(3)
    ]


def targets(*counts: int, seed: int = 1) -> list[Target]:
    torch.manual_seed(seed)
    return [
        Target(
            torch.rand(n, 4, 6).repeat_interleave(8, 1).repeat_interleave(8, 2) > 0.6,
            torch.randint(0, 4, (n,)),
            torch.zeros(n, dtype=torch.bool),
            (32, 48),
        )
        for n in counts
    ]


@pytest.mark.parametrize("counts", [(3, 2), (1, 0), (0, 4), (9, 1)], ids=str)
def test_losses_equal_the_loops(small_config: Make, counts: tuple[int, ...]) -> None:
    """With no segment in a picture, and with more of them than proposals."""
    config = small_config(class_weight=2.5, mask_weight=4.0, dice_weight=6.0)
    stages, truth = predictions(), targets(*counts)
    torch.manual_seed(5)
    losses, pairs = yoso_losses(stages, truth, WEIGHTS, config)
    torch.manual_seed(5)
    expected = literal_losses(stages, [(t.categories, t.masks.float()) for t in truth], config)
    assert list(losses) == list(expected)
    assert len(losses) == 8
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-5)
    assert [[len(queries) for queries, _ in stage] for stage in pairs] == [[min(7, n) for n in counts]] * 3


def test_crowds_are_background(small_config: Make) -> None:
    """Dropped before matching and counting: as if they had never been annotated."""
    stages = predictions()
    plain = targets(2, 1)
    extra = targets(1, 1, seed=8)
    crowded = [
        Target(
            torch.cat((e.masks, t.masks)),
            torch.cat((e.categories, t.categories)),
            torch.tensor([True] + [False] * len(t.categories)),
            t.size,
        )
        for t, e in zip(plain, extra, strict=True)
    ]
    results = []
    for truth in (plain, crowded):
        torch.manual_seed(2)
        results.append(yoso_losses(stages, truth, WEIGHTS, small_config())[0])
    assert results[0].keys() == results[1].keys()
    for name in results[0]:
        assert torch.equal(results[0][name], results[1][name])


def test_without_any_segment_masks_cost_nothing_and_still_have_gradients(small_config: Make) -> None:
    stages = predictions()
    losses, pairs = yoso_losses(stages, targets(0, 0), WEIGHTS, small_config())
    for name, value in losses.items():
        assert (float(value.detach()) == 0) == ("_ce" not in name)
        assert value.isfinite()
    assert all(len(queries) == 0 for stage in pairs for queries, _ in stage)
    # every class should say "no object"
    assert stages[1].class_logits is not None
    plain = -stages[1].class_logits.log_softmax(-1)[..., 4].mean()
    torch.testing.assert_close(losses["s1_loss_ce"], 2 * plain)
    # other processes may have segments: backward must reach everything here too
    (gradient,) = torch.autograd.grad(losses["s0_loss_mask"], stages[0].mask_logits)
    assert gradient.count_nonzero() == 0


def test_truth_drops_crowds_and_becomes_float() -> None:
    (target,) = targets(3)
    truth = truth_of(target._replace(crowd=torch.tensor([False, True, False])))
    assert truth.categories.tolist() == target.categories[[0, 2]].tolist()
    assert truth.masks.dtype == torch.float32
    assert torch.equal(truth.masks, target.masks[[0, 2]].float())


def test_the_count_is_averaged_over_processes_and_at_least_one() -> None:
    truths = [truth_of(target) for target in targets(2, 1)]
    assert float(segment_count(truths)) == 3
    assert float(segment_count([truth_of(target) for target in targets(0)])) == 1

    def add_other_process(count: Tensor) -> None:
        count += 6

    with (
        mock.patch("torch.distributed.is_available", return_value=True),
        mock.patch("torch.distributed.is_initialized", return_value=True),
        mock.patch("torch.distributed.get_world_size", return_value=2),
        mock.patch("torch.distributed.all_reduce", add_other_process),
    ):
        assert float(segment_count(truths)) == 4.5


def test_perfect_answers_cost_almost_nothing(small_config: Make) -> None:
    config = small_config(points=2000, importance=0.0)  # uniform points: few of them touch an edge
    (target,) = targets(3)
    masks = torch.full((1, 7, 32, 48), -20.0)
    masks[0, :3][target.masks] = 20.0
    classes = torch.full((1, 7, 5), -20.0)
    classes[0, 3:, 4] = 20.0
    classes[0, torch.arange(3), target.categories] = 20.0
    torch.manual_seed(0)
    losses, pairs = yoso_losses([StagePrediction(classes, masks)], [target], WEIGHTS, config)
    assert pairs[0][0][0].tolist() == [0, 1, 2]
    assert pairs[0][0][1].tolist() == [0, 1, 2]
    assert float(losses["s0_loss_ce"]) < 1e-6
    worse, _ = yoso_losses([StagePrediction(classes, -masks)], [target], WEIGHTS, config)
    assert float(losses["s0_loss_dice"]) < 0.2 * float(worse["s0_loss_dice"])
    assert float(losses["s0_loss_mask"]) < 0.2 * float(worse["s0_loss_mask"])
