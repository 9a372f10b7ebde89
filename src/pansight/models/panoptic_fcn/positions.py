"""From position maps to kernels: peaks for things, regions for stuff (Sec. 3.2), all levels, whole batch."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Form
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.kernel_readers import KernelReader, PlainReader
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs

POOLING = (3, 3, 3, 5, 5)
"""side of the mean that steadies the peaks of P3..P7"""

PLAIN = PlainReader()


class Peaks(NamedTuple):
    """Candidates for things, best first; kernels are not yet embedded. Rows that are not `kept` come last."""

    kernels: Float[Tensor, "b n r"]
    """as read from the maps"""
    classes: Int[Tensor, "b n"]
    """thing channel"""
    scores: Float[Tensor, "b n"]
    """0..1"""
    kept: Bool[Tensor, "b n"]


class Regions(NamedTuple):
    """Stuff by level, l of them; kernels are not yet embedded."""

    kernels: Float[Tensor, "b l s r"]
    """as read from the maps"""
    scores: Float[Tensor, "b l s"]
    """mean probability of the class in its region, 0..1"""
    kept: Bool[Tensor, "b l s"]


def find_peaks(outputs: PanopticFCNOutputs, config: PanopticFCNConfig, reader: KernelReader = PLAIN) -> Peaks:
    """The best local maxima of every level that exceed `thing_threshold`, sorted by score."""
    levels = []
    for logits, maps, pooling in zip(outputs.things, outputs.kernels, POOLING, strict=True):
        scores, classes, cells = level_peaks(logits, pooling, config.top // 2)
        levels.append((reader.at(maps, cells), classes, scores, scores > config.thing_threshold))
    return sorted_peaks(Peaks(*(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))))


def sorted_peaks(peaks: Peaks) -> Peaks:
    """Best first, those that are not kept last; equal scores stay in their order, that of levels."""
    order = torch.where(peaks.kept, peaks.scores, -1.0).sort(dim=1, descending=True, stable=True).indices
    rows = order[..., None].expand(-1, -1, peaks.kernels.shape[2])
    return Peaks(peaks.kernels.gather(1, rows), *(part.gather(1, order) for part in peaks[1:]))


def steadied_peaks(logits: Float[Tensor, "b t h w"], pooling: int) -> Float[Tensor, "b t h w"]:
    """Probabilities, averaged with their own mean around, at local maxima of each class; 0 elsewhere."""
    probabilities = logits.float().sigmoid()
    # the mean counts the padding's zeros
    mean = F.avg_pool2d(probabilities, pooling, stride=1, padding=pooling // 2)
    steadied = (probabilities + mean) / 2
    highest = F.max_pool2d(steadied, 3, stride=1, padding=1)
    return torch.where(steadied == highest, steadied, 0.0)


def level_peaks(
    logits: Float[Tensor, "b t h w"], pooling: int, most: int
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"], Int[Tensor, "b k"]]:
    """Scores, classes and cells (row by row) of the `most` best peaks of all classes, best first.

    No more than the level has cells, as in the released code.
    """
    peaks = steadied_peaks(logits, pooling).flatten(2)
    cells = peaks.shape[2]
    scores, places = peaks.flatten(1).topk(min(most, cells), dim=1)
    return scores, places.div(cells, rounding_mode="floor"), places % cells


def find_regions(
    outputs: PanopticFCNOutputs, config: PanopticFCNConfig, form: Form, reader: KernelReader = PLAIN
) -> Regions:
    """For every level and semantic class: where it is the most likely one, its mean kernel and score.

    The kernel's mean is over all cells of the level, so that it shrinks with the region, as in training. With
    `stuff_positions="centers"` kernel and score are those of the class's highest peak.
    """
    levels = []
    if config.stuff_positions == "centers":
        for logits, maps, pooling in zip(outputs.stuff, outputs.kernels, POOLING, strict=True):
            scores, cells = steadied_peaks(logits, pooling).flatten(2).max(2)
            levels.append((reader.at(maps, cells), scores, scores > config.stuff_threshold))
        return Regions(*(torch.stack(parts, dim=1) for parts in zip(*levels, strict=True)))
    for logits, maps in zip(outputs.stuff, outputs.kernels, strict=True):
        probabilities = logits.float().sigmoid()
        numbers = torch.arange(probabilities.shape[1], device=logits.device)[:, None, None]
        regions = probabilities.argmax(1, keepdim=True) == numbers
        scores, there = region_scores(probabilities, regions)
        levels.append((read_present(maps, regions, there, reader, form), scores, there))
    kernels, scores, there = (torch.stack(parts, dim=1) for parts in zip(*levels, strict=True))
    return Regions(kernels, scores, there & (scores > config.stuff_threshold))


def region_scores(
    probabilities: Float[Tensor, "b s h w"], regions: Bool[Tensor, "b s h w"]
) -> tuple[Float[Tensor, "b s"], Bool[Tensor, "b s"]]:
    """Each class's mean probability in its region, and whether it has one."""
    areas = regions.sum((2, 3))
    return (probabilities * regions).sum((2, 3)) / areas.clamp(min=1), areas > 0


def read_present(
    maps: Float[Tensor, "b c h w"],
    regions: Bool[Tensor, "b s h w"],
    there: Bool[Tensor, "b s"],
    reader: KernelReader,
    form: Form,
) -> Float[Tensor, "b s r"]:
    """What is read over all regions; empty ones are passed over in the pruned form."""
    if form == "fixed":
        return reader.over(maps, regions)
    present = there.any(0).nonzero()[:, 0]
    read = reader.over(maps, regions[:, present])
    result = read.new_zeros(len(read), regions.shape[1], read.shape[2])
    result[:, present] = read
    return result
