"""What would be possible: positions, or positions and classes, from the truth in place of the position head.

The paper's analysis of upper bounds has no published code, so the choices are ours. A thing is at the centre
that the heat map of training has, on every level that training would use for its size; stuff is where
training's regions are. The class is the position head's there (for a region the one of the largest mean
probability), or the annotated one. Fusion, masks and merge are as ever.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pansight.models.base import Target
from pansight.models.panoptic_fcn.kernel_readers import KernelReader
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.positions import Peaks, Regions, region_scores, sorted_peaks
from pansight.models.panoptic_fcn.targets import LevelTarget, PictureTarget
from pansight.panoptic import PanopticMap


class Oracle(NamedTuple):
    """What the truth is asked with."""

    outputs: PanopticFCNOutputs
    targets: list[PictureTarget]
    reader: KernelReader
    classes: bool
    """whether classes are true, too"""
    sure: bool = True
    """whether true things score 1 (before their masks are rescored) in place of the head's probability"""
    centers: bool = False
    """whether stuff is read at one cell each, too: a reader's share of all cells is then undone"""


def true_target(truth: PanopticMap, valid: tuple[int, int], padded: tuple[int, int]) -> Target:
    """An image's truth as its network input has it: ids resized to `valid` (nearest) and padded."""
    ids = truth.paint(range(1, len(truth.segments) + 1))
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
        for new, old in zip(valid, ids.shape, strict=True)
    )
    small = np.zeros(padded, dtype=np.int64)
    small[: valid[0], : valid[1]] = ids[rows[:, None], columns]
    numbers = torch.arange(1, len(truth.segments) + 1)[:, None, None]
    return Target(
        torch.from_numpy(small) == numbers,
        torch.tensor([segment.category for segment in truth.segments], dtype=torch.int64),
        torch.tensor([segment.is_crowd for segment in truth.segments], dtype=torch.bool),
        valid,
    )


def true_peaks(oracle: Oracle) -> Peaks:
    """All objects' centres on all their levels."""
    outputs = oracle.outputs
    levels = []
    for number, (logits, maps) in enumerate(zip(outputs.things, outputs.kernels, strict=True)):
        things = [target.levels[number].things for target in oracle.targets]
        cells = _stacked([each.centers for each in things]).clamp(max=logits[0, 0].numel() - 1)
        labels = _stacked([each.labels for each in things])
        kept = _stacked([torch.ones_like(each.labels, dtype=torch.bool) for each in things])
        at = logits.float().sigmoid().flatten(2).gather(2, cells[:, None].expand(-1, logits.shape[1], -1))
        classes = labels if oracle.classes else at.argmax(1)
        scores = at.gather(1, classes[:, None])[:, 0]
        if oracle.sure:
            scores = torch.ones_like(scores)
        levels.append((oracle.reader.at(maps, cells), classes, scores, kept))
    return sorted_peaks(Peaks(*(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))))


def _stacked(rows: list[Tensor]) -> Tensor:
    """Rows of unequal length as one tensor, filled with zeros; at least one column."""
    table = pad_sequence(rows, batch_first=True)
    return table if table.shape[1] else table.new_zeros(len(rows), 1)


def true_regions(oracle: Oracle) -> Regions:
    """All stuff regions on all levels; those that are taken for one class on a level become one."""
    levels = []
    for number, (logits, maps) in enumerate(zip(oracle.outputs.stuff, oracle.outputs.kernels, strict=True)):
        probabilities = logits.float().sigmoid()
        regions = torch.stack([_regions(target.levels[number]) for target in oracle.targets])
        if not oracle.classes:
            regions = _relabelled(regions, probabilities)
        scores, there = region_scores(probabilities, regions)
        read = oracle.reader.over(maps, regions)
        levels.append((read * maps[0, 0].numel() if oracle.centers else read, scores, there))
    return Regions(*(torch.stack(parts, dim=1) for parts in zip(*levels, strict=True)))


def _regions(level: LevelTarget) -> Bool[Tensor, "s h w"]:
    result = torch.zeros_like(level.scores, dtype=torch.bool)
    result[level.stuff.classes] = level.stuff.regions
    return result


def _relabelled(
    regions: Bool[Tensor, "b s h w"], probabilities: Float[Tensor, "b s h w"]
) -> Bool[Tensor, "b s h w"]:
    """Each region given to the class whose probability is largest on average in it."""
    means = torch.einsum("brhw,bshw->brs", regions.float(), probabilities)
    chosen = means.argmax(2)
    taken = regions.new_zeros(regions.shape, dtype=torch.int64)
    places = chosen[..., None, None].expand(-1, -1, *regions.shape[2:])
    return taken.scatter_add(1, places, regions.long()) > 0
