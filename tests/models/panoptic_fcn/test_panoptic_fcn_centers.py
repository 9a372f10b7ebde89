"""Stuff positions as centres: the paper's future work, word by word."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pansight.merging import Form
from pansight.merging.sizes import Sizes
from pansight.models.base import Target
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.losses import panoptic_fcn_losses
from pansight.models.panoptic_fcn.oracle import Oracle, true_regions
from pansight.models.panoptic_fcn.positions import find_regions, steadied_peaks

Make = Callable[..., Any]


def test_a_region_is_taught_by_the_cell_of_it_nearest_its_middle(small_fcn: Make, rectangles: Make) -> None:
    # category 1 is stuff and lies around an object, so that its centre of mass is not in it
    target = rectangles(64, 96, (1, (0, 0, 96, 64)), (2, (24, 8, 72, 60)))
    regions, centers = (small_fcn(stuff_positions=kind) for kind in ("regions", "centers"))
    outputs = regions(torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    (whole,), (middle,) = (model.targets(outputs, [target]) for model in (regions, centers))
    for before, after in zip(whole.levels, middle.levels, strict=True):
        assert after.stuff.classes.tolist() == before.stuff.classes.tolist()
        assert torch.equal(after.heatmap, before.heatmap)
        width = before.scores.shape[2]
        for channel, region, only in zip(
            after.stuff.classes, before.stuff.regions, after.stuff.regions, strict=True
        ):
            y, x = region.nonzero(as_tuple=True)
            away = (y - y.float().mean()) ** 2 + (x - x.float().mean()) ** 2
            (cell,) = only.flatten().nonzero()
            assert int(only.sum()) == 1 and region.flatten()[cell]
            row, column = int(cell) // width, int(cell) % width
            nearest = (row - y.float().mean()) ** 2 + (column - x.float().mean()) ** 2
            torch.testing.assert_close(nearest, away.min())
            score = after.scores[channel]
            assert float(score[row, column]) == 1.0 == float(score.max())
            assert float(score.min()) >= 0 and (score == 1).sum() == 1


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_a_kernel_is_read_at_the_highest_peak(small_fcn: Make, form: Form) -> None:
    model: PanopticFCN = small_fcn(stuff_positions="centers")
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    found = find_regions(outputs, model.config, form)
    for level, (logits, maps, pooling) in enumerate(
        zip(outputs.stuff, outputs.kernels, (3, 3, 3, 5, 5), strict=True)
    ):
        peaks = steadied_peaks(logits, pooling)
        for picture in range(2):
            for channel in range(logits.shape[1]):
                score, cell = peaks[picture, channel].flatten().max(0)
                assert float(found.scores[picture, level, channel]) == float(score)
                assert torch.equal(found.kernels[picture, level, channel], maps[picture].flatten(1)[:, cell])
                assert bool(found.kept[picture, level, channel]) == (score > 0.05)


def test_it_learns_an_image_by_heart(small_fcn: Make, two_pictures: list[Target]) -> None:
    model: PanopticFCN = small_fcn(stuff_positions="centers").train()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = last = None
    for _ in range(12):
        losses = model.losses(model(images), two_pictures)
        total = torch.stack(list(losses.values())).sum()
        first, last = first or total.item(), total.item()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert first is not None and last is not None and last < 0.8 * first


def test_true_positions_are_read_as_found_ones(small_fcn: Make, two_pictures: list[Target]) -> None:
    """An oracle's kernel of stuff is the one that training reads, and no share of it."""
    model: PanopticFCN = small_fcn(stuff_positions="centers")
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
        targets = model.targets(outputs, two_pictures)
        terms = panoptic_fcn_losses(
            outputs, targets, model.thing_generator, model.stuff_generator, model.config
        )
    regions = true_regions(Oracle(outputs, targets, model.reader, True, centers=True))
    for picture, target in enumerate(targets):
        for number, level in enumerate(target.levels):
            for channel, only in zip(level.stuff.classes, level.stuff.regions, strict=True):
                read = regions.kernels[picture, number, channel]
                there = outputs.kernels[number][picture][:, only][:, 0]
                torch.testing.assert_close(read, there, rtol=1e-4, atol=1e-5)
    assert all(term.isfinite() for term in terms)
    assert model.merge(outputs, Sizes((64, 96), [(64, 96)] * 2, [(64, 96)] * 2)).ids.shape == (2, 64, 96)
