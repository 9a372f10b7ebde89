"""Ground truth and losses: against the method word by word, and what the golden files do not reach."""

from collections.abc import Callable
from typing import Any

import numpy as np
import panoptic_fcn_literal as literal
import pytest
import torch
from torch import Tensor

from pansight.models.base import Target
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.losses import panoptic_fcn_losses, positions
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.targets import PanopticFCNTruth, _radii, encode, quartered, truth_of
from pansight.nn.boxes import boxes_of

Make = Callable[..., Any]

THINGS = torch.tensor([0, -1, 1, -1])
STUFF = torch.tensor([0, 1, 0, 2])
"""channels of the garden's categories"""


def pictures(rectangles: Make) -> list[Target]:
    """64 x 96, full and padded to no multiple of 4; small and large, overlapping centres, on the border."""
    return [
        rectangles(
            64,
            96,
            (1, (0, 0, 96, 30)),
            (0, (10, 5, 60, 50)),
            (2, (30, 30, 52, 60)),
            (2, (41, 32, 51, 62)),
            (0, (90, 0, 96, 64)),
            (2, (0, 63, 1, 64)),
        ),
        rectangles(64, 96, (3, (0, 30, 80, 62)), (2, (20, 20, 32, 33)), (0, (0, 0, 61, 31)), size=(62, 83)),
    ]


def outputs_of(model: PanopticFCN, batch: int = 2, size: tuple[int, int] = (64, 96)) -> PanopticFCNOutputs:
    torch.manual_seed(1)
    outputs: PanopticFCNOutputs = model(torch.randn(batch, 3, *size))
    return outputs


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positions": 1},
        {"weighted_dice": False},
        {"things_as_stuff": False},
        {"center": "box", "minimum_overlap": 0.3, "sigma_divisor": 6.0, "segment_weight": 4.0},
        {"scales": ((1, 4096),) * 5},
    ],
    ids=str,
)
def test_losses_against_loops(small_fcn: Make, rectangles: Make, changes: dict[str, Any]) -> None:
    model: PanopticFCN = small_fcn(**changes)
    outputs, targets = outputs_of(model), pictures(rectangles)
    mine = model.losses(outputs, targets)
    truths = [truth_of(target, model.thing_channels, model.stuff_channels) for target in targets]
    wanted = literal.losses(model, outputs, truths, (64, 96))
    assert list(mine) == ["position_things", "position_stuff", "segment_things", "segment_stuff"]
    np.testing.assert_allclose([term.item() for term in mine.values()], wanted, rtol=2e-5)


@pytest.mark.parametrize("overlap", [0.7, 0.1])
def test_heat_maps_against_loops(small_fcn: Make, rectangles: Make, overlap: float) -> None:
    """With little overlap asked for, radii are large: Gaussians meet and are cut at borders."""
    model: PanopticFCN = small_fcn(minimum_overlap=overlap, scales=((1, 4096),) * 5)
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    for target in pictures(rectangles):
        truth = truth_of(target, THINGS, STUFF)
        encoded = encode(truth, sizes, (64, 96), (2, 3), model.config)
        for number, level in enumerate(encoded.levels):
            heat, found = literal.heatmap(truth, model, number, sizes[number], (64, 96))
            np.testing.assert_allclose(level.heatmap, heat, atol=1e-7)
            assert level.things.centers.tolist() == [y * sizes[number][1] + x for _, x, y in found]


def test_radii_grow_with_boxes() -> None:
    spans = [(100.0, 100.0), (8.0, 8.0), (60.0, 7.0), (7.0, 60.0), (400.0, 150.0)]
    found = _radii(torch.tensor(spans, dtype=torch.float64), 0.7).tolist()
    assert found[0] == 27
    assert found == [literal.radius(height, width, 0.7) for width, height in spans]
    assert found[1] <= 2 < found[2] == found[3] < found[4]


def test_level_limits_belong_to_both_levels(small_config: Make, rectangles: Make) -> None:
    target = rectangles(64, 96, (0, (0, 0, 24, 24)), (2, (30, 0, 42, 12)), (0, (50, 0, 75, 24)))
    truth = truth_of(target, THINGS, STUFF)
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    levels = encode(truth, sizes, (64, 96), (2, 3), small_config()).levels
    # sides of 24, 12 and just above 24
    assert [level.things.rows.tolist() for level in levels] == [[0, 1], [0, 1, 2], [0, 2], [], []]


def test_centres_that_lie_one_too_far(small_config: Make) -> None:
    """Beyond the last cell: what is left of the Gaussian is drawn, and nothing fails."""
    truth = PanopticFCNTruth(
        torch.tensor([[90.0, 60.0, 102.0, 68.0]]),
        torch.tensor([1]),
        torch.ones(1, 64, 96, dtype=torch.bool),
        torch.zeros(64, 96, dtype=torch.int64),
    )
    config = small_config(center="box", minimum_overlap=0.01, scales=((1, 4096),) * 5, weighted_dice=False)
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    encoded = encode(truth, sizes, (64, 96), (2, 3), config)
    assert encoded.levels[0].things.centers.tolist() == [8 * 12 + 12]
    assert encoded.levels[0].heatmap.amax() < 1
    chosen, weights = positions(torch.zeros(2, 8, 12), encoded, 0, config)
    assert chosen.tolist() == [[95]] and weights.tolist() == [[1.0]]


def test_an_object_that_vanishes_at_a_quarter(small_config: Make, rectangles: Make) -> None:
    """One pixel that bilinear reading passes over: its centre is the first cell, its weights are 0."""
    truth = truth_of(rectangles(64, 96, (2, (16, 16, 17, 17))), THINGS, STUFF)
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    encoded = encode(truth, sizes, (64, 96), (2, 3), small_config())
    assert not encoded.masks.any()
    assert encoded.levels[0].things.centers.tolist() == [0]
    assert encoded.levels[0].heatmap[1, 0, 0] == 1
    _, weights = positions(torch.zeros(2, 8, 12), encoded, 0, small_config())
    assert weights.tolist() == [[0.0] * 3]


@pytest.mark.parametrize("size", [(64, 96), (61, 90), (62, 83), (1, 1), (2, 3), (5, 96)], ids=str)
def test_quarter_maps_are_those_of_interpolation(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    semantics = torch.randint(-1, 3, size)
    masks = torch.rand(4, *size) > 0.5
    truth = PanopticFCNTruth(boxes_of(masks), torch.zeros(4, dtype=torch.int64), masks, semantics)
    mine, labels = quartered(truth, (16, 24), 3)
    theirs = torch.stack([literal.quarter(mask, (16, 24)) for mask in masks])
    torch.testing.assert_close(mine, theirs, rtol=0, atol=3e-7)
    theirs = torch.stack([literal.quarter(semantics == number, (16, 24)) for number in range(3)])
    torch.testing.assert_close(labels, theirs, rtol=0, atol=3e-7)


def test_groups_are_semantics_but_no_objects(rectangles: Make) -> None:
    target = rectangles(64, 96, (0, (0, 0, 20, 20)), (2, (30, 0, 50, 20)), (1, (0, 30, 96, 60)), crowd=(1,))
    truth = truth_of(target, THINGS, STUFF)
    assert truth.labels.tolist() == [0]
    assert truth.semantics[10, 40] == 0 and truth.semantics[40, 5] == 1 and truth.semantics[25, 5] == -1
    none = truth_of(target, THINGS, torch.tensor([-1, 0, -1, 1]))
    assert none.semantics[10, 40] == -1 and none.semantics[40, 5] == 0


def test_more_classes_than_a_byte_holds(rectangles: Make) -> None:
    channels = torch.arange(700)
    target = rectangles(16, 16, (699, (0, 0, 8, 16)), (255, (8, 0, 16, 16)))
    truth = truth_of(target, torch.full((700,), -1), channels)
    assert truth.semantics[0].tolist() == [699] * 8 + [255] * 8


def empty(rectangles: Make, kind: str) -> Target:
    if kind == "no things":
        return rectangles(64, 96, (1, (0, 0, 96, 30)))
    if kind == "no stuff":  # on no level: what is there is smaller than any cell's half
        return rectangles(64, 96, (0, (4, 4, 7, 7)))
    return rectangles(64, 96)


@pytest.mark.parametrize("kind", ["no things", "no stuff", "nothing"])
@pytest.mark.parametrize("whole_batch", [True, False])
def test_pictures_without(small_fcn: Make, rectangles: Make, kind: str, whole_batch: bool) -> None:
    model = small_fcn().train()
    targets = (
        [empty(rectangles, kind)] * 2 if whole_batch else [empty(rectangles, kind), *pictures(rectangles)[:1]]
    )
    outputs = outputs_of(model)
    losses = model.losses(outputs, targets)
    assert all(term.isfinite() for term in losses.values())
    truths = [truth_of(target, model.thing_channels, model.stuff_channels) for target in targets]
    wanted = literal.losses(model, outputs, truths, (64, 96))
    np.testing.assert_allclose([term.item() for term in losses.values()], wanted, rtol=2e-5, atol=1e-12)
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_of_positions_carry_gradient(small_fcn: Make, rectangles: Make) -> None:
    model = small_fcn()
    outputs = outputs_of(model)
    logits = tuple(level.detach().requires_grad_() for level in outputs.things)
    terms = model.losses(outputs._replace(things=logits), pictures(rectangles))
    gradients = torch.autograd.grad(terms["segment_things"], logits[:2])
    assert all(gradient.any() for gradient in gradients)


def test_300_objects(small_fcn: Make, rectangles: Make) -> None:
    parts = [
        (2 * (n % 2), (8 * (n % 20), 8 * (n // 20), 8 * (n % 20) + 6, 8 * (n // 20) + 6)) for n in range(300)
    ]
    model = small_fcn()
    terms = model.losses(outputs_of(model, 1, (128, 160)), [rectangles(128, 160, *parts)])
    assert all(term.isfinite() and term > 0 for term in terms.values())


def test_half_precision_maps_give_the_losses_of_their_values(small_fcn: Make, rectangles: Make) -> None:
    model = small_fcn()
    outputs = outputs_of(model)

    def changed(dtype: torch.dtype) -> PanopticFCNOutputs:
        def to(x: Tensor) -> Tensor:
            return x.bfloat16().to(dtype)

        things, stuff, kernels = (tuple(to(level) for level in maps) for maps in outputs[:3])
        return PanopticFCNOutputs(things, stuff, kernels, to(outputs.features))

    targets = pictures(rectangles)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.losses(changed(torch.bfloat16), targets)
    whole = model.losses(changed(torch.float32), targets)
    assert all(torch.equal(half[name], whole[name]) for name in whole)


def test_normalisers_count_pairs_over_the_batch(small_fcn: Make, rectangles: Make) -> None:
    """A picture without annotation halves nothing but the term that is a mean over pictures."""
    model = small_fcn()
    outputs = outputs_of(model)
    targets = pictures(rectangles)[:1]
    things, stuff, kernels = (tuple(m[:1] for m in maps) for maps in outputs[:3])
    one = PanopticFCNOutputs(things, stuff, kernels, outputs.features[:1])
    encoded = model.targets(one, targets)
    alone = panoptic_fcn_losses(one, encoded, model.thing_generator, model.stuff_generator, model.config)
    both = model.losses(outputs, [*targets, rectangles(64, 96)])
    assert both["segment_things"].item() == pytest.approx(alone.segment_things.item(), rel=1e-5)
    assert both["segment_stuff"].item() == pytest.approx(alone.segment_stuff.item(), rel=1e-5)
