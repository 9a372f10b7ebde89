"""What the maps should say (Sec. 3.3, 3.4): centres, stuff regions, and masks at a quarter of the input."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.outputs import FEATURE_STRIDE
from pansight.nn.boxes import boxes_of
from pansight.nn.resampling import linear_weights

IGNORED = -1
"""semantic class of pixels that no annotation covers"""

PART = 16
"""masks that are worked on at a time, which bounds memory"""


class PanopticFCNTruth(NamedTuple):
    """One image's annotation in the method's terms, at its true size."""

    boxes: Float[Tensor, "n 4"]
    """x1, y1, x2, y2 in pixels, x2 and y2 one beyond the last; single objects alone, no groups"""
    labels: Int[Tensor, " n"]
    """thing channel"""
    masks: Bool[Tensor, "n h w"]
    semantics: Int[Tensor, "h w"]
    """channel of the stuff map, or IGNORED"""


class Things(NamedTuple):
    """The objects of a level, m of n."""

    rows: Int[Tensor, " m"]
    """their numbers among the image's objects"""
    labels: Int[Tensor, " m"]
    centers: Int[Tensor, " m"]
    """cell of the centre, row by row; may be beyond the last one"""


class Stuff(NamedTuple):
    """The semantic classes that are present on a level, p of s."""

    classes: Int[Tensor, " p"]
    regions: Bool[Tensor, "p h w"]
    """where the kernel is read: all cells, or the centre alone"""


class Open(NamedTuple):
    """Unlabelled ground of an image, and the channels that are certainly not there."""

    ground: Bool[Tensor, "h w"]
    """at the padded size"""
    things: Bool[Tensor, " t"]
    stuff: Bool[Tensor, " s"]

    def at(self, size: tuple[int, int]) -> Bool[Tensor, "h2 w2"]:
        """Cells of a smaller map that lie mostly on unlabelled ground."""
        share = F.interpolate(self.ground[None, None].float(), size=size, mode="area")[0, 0]
        return share > 0.5


class LevelTarget(NamedTuple):
    """What one level should say."""

    heatmap: Float[Tensor, "t h w"]
    """1 at centres, falling off around them"""
    scores: Float[Tensor, "s h w"]
    """share of each cell that a class covers, 0 below a half; with centres, 1 there and falling off"""
    things: Things
    stuff: Stuff


class PictureTarget(NamedTuple):
    """All levels of an image, and the masks that their kernels should give (0..1)."""

    levels: tuple[LevelTarget, ...]
    masks: Float[Tensor, "n h4 w4"]
    labels: Float[Tensor, "s h4 w4"]
    open: Open | None = None
    """None where everything is labelled"""


def truth_of(
    target: Target,
    thing_channels: Int[Tensor, " c"],
    stuff_channels: Int[Tensor, " c"],
) -> PanopticFCNTruth:
    """The annotation without padding and groups; the channels are by category, negative where it has none."""
    height, width = target.size
    masks = target.masks[:, :height, :width]
    things = thing_channels[target.categories]
    boxes = boxes_of(masks)
    single = (things >= 0) & ~target.crowd & (boxes[:, 2] > 0)
    # masks never overlap, so the largest number at a pixel is the only one; 0 is nothing
    numbers = (stuff_channels[target.categories] + 1).short()
    semantics = torch.zeros(height, width, dtype=torch.int16, device=masks.device)
    if len(masks):
        for some, its in zip(masks.split(PART), numbers.split(PART), strict=True):
            semantics = torch.maximum(semantics, (some * its[:, None, None]).amax(0))
    return PanopticFCNTruth(boxes[single], things[single], masks[single], semantics.long() - 1)


def open_of(
    target: Target,
    thing_channels: Int[Tensor, " c"],
    stuff_channels: Int[Tensor, " c"],
    channels: tuple[int, int],
) -> Open | None:
    """What the image leaves open; a channel is certainly absent if all categories that share it are."""
    if not target.partial:
        return None
    impossible = target.impossible(len(thing_channels))
    absent = []
    for table, count in zip((thing_channels, stuff_channels), channels, strict=True):
        present = torch.zeros(count, dtype=torch.bool, device=impossible.device)
        present[table[(table >= 0) & ~impossible]] = True
        absent.append(~present)
    return Open(target.unknown(), *absent)


@torch.no_grad()
def encode(
    truth: PanopticFCNTruth,
    sizes: list[tuple[int, int]],
    padded: tuple[int, int],
    channels: tuple[int, int],
    config: PanopticFCNConfig,
) -> PictureTarget:
    """Targets of one image.

    Args:
        sizes: height and width of P3..P7.
        padded: of the network's input.
        channels: of the thing map and of the stuff map.
    """
    quarter = (padded[0] // FEATURE_STRIDE, padded[1] // FEATURE_STRIDE)
    masks, labels = quartered(truth, quarter, channels[1])
    spans = truth.boxes[:, 2:] - truth.boxes[:, :2]
    extents = spans.prod(1).sqrt()
    centers = (
        _mass_centers(masks) if config.center == "mass" else truth.boxes.unflatten(1, (2, 2)).mean(1) / 4
    )
    levels = []
    for size, (low, high) in zip(sizes, config.scales, strict=True):
        rows = ((extents >= low) & (extents <= high)).nonzero()[:, 0]
        scale = torch.tensor((size[1] / quarter[1], size[0] / quarter[0]), device=centers.device)
        last = torch.tensor((size[1], size[0]), device=centers.device)
        cells = (centers[rows] * scale).nan_to_num(0).long().clamp(min=0)
        cells = torch.minimum(cells, last)
        step = torch.tensor((size[1] / padded[1], size[0] / padded[0]), device=centers.device)
        radii = _radii(spans[rows].double() * step, config.minimum_overlap)
        heatmap = _heatmap(cells, radii, truth.labels[rows], (channels[0], *size), config.sigma_divisor)
        shrunk = F.interpolate(labels[None], size=size, mode="bilinear", align_corners=False)[0].clamp(max=1)
        scores = torch.where(shrunk < 0.5, 0.0, shrunk)
        present = scores.flatten(1).any(1).nonzero()[:, 0]
        stuff = Stuff(present, scores[present] > 0)
        if config.stuff_positions == "centers":
            scores, stuff = _stuff_centers(stuff, channels[1], config)
        things = Things(rows, truth.labels[rows], cells[:, 1] * size[1] + cells[:, 0])
        levels.append(LevelTarget(heatmap, scores, things, stuff))
    return PictureTarget(tuple(levels), masks, labels)


def quartered(
    truth: PanopticFCNTruth, quarter: tuple[int, int], classes: int
) -> tuple[Float[Tensor, "n h4 w4"], Float[Tensor, "s h4 w4"]]:
    """Objects' masks and semantic classes at a quarter of the size, rounded; 0..1, and 0 beyond.

    Bilinear without antialiasing, as `F.interpolate` does it: so of each 4 x 4 pixels just four count, and
    only they are looked at.
    """
    device = truth.semantics.device
    masks = torch.zeros(len(truth.masks), *quarter, device=device)
    labels = torch.zeros(classes, *quarter, device=device)
    sides = truth.semantics.shape
    height, width = (int(side / FEATURE_STRIDE + 0.5) for side in sides)
    if not (height and width):
        return masks, labels
    rows, columns = linear_weights(sides[0], height), linear_weights(sides[1], width)
    for i in range(2):
        y, wy = (torch.from_numpy(part[:, i]).to(device) for part in rows)
        seen, meant = truth.masks[:, y], truth.semantics[y]
        for j in range(2):
            x, wx = (torch.from_numpy(part[:, j]).to(device) for part in columns)
            weight = wy[:, None] * wx
            masks[:, :height, :width] += seen[:, :, x] * weight
            found = meant[:, x]
            weight = torch.where(found == IGNORED, 0, weight)
            labels[:, :height, :width].scatter_add_(0, found.clamp(min=0)[None], weight[None])
    return masks, labels


def _stuff_centers(
    stuff: Stuff, classes: int, config: PanopticFCNConfig
) -> tuple[Float[Tensor, "s h w"], Stuff]:
    """Position maps as of things, and each region shrunk to its cell that is nearest its centre of mass."""
    height, width = stuff.regions.shape[1:]
    y = torch.arange(height, device=stuff.regions.device, dtype=torch.float32)
    x = torch.arange(width, device=stuff.regions.device, dtype=torch.float32)
    middle = _mass_centers(stuff.regions.float())
    away = (x - middle[:, 0, None])[:, None] ** 2 + (y - middle[:, 1, None])[:, :, None] ** 2
    cells = away.masked_fill(~stuff.regions, torch.inf).flatten(1).argmin(1)
    spans = torch.stack((stuff.regions.any(1).sum(1), stuff.regions.any(2).sum(1)), dim=1)
    radii = _radii(spans.double(), config.minimum_overlap)
    places = torch.stack((cells % width, cells // width), dim=1)
    scores = _heatmap(places, radii, stuff.classes, (classes, height, width), config.sigma_divisor)
    only = torch.zeros_like(stuff.regions).flatten(1)
    only[torch.arange(len(cells), device=cells.device), cells] = True
    return scores, Stuff(stuff.classes, only.view(stuff.regions.shape))


def _mass_centers(masks: Float[Tensor, "n h4 w4"]) -> Float[Tensor, "n 2"]:
    """Mean x and y of the pixels above 0, not a number where there is none."""
    covered = (masks > 0).float()
    x = torch.arange(masks.shape[2], device=masks.device, dtype=torch.float32)
    y = torch.arange(masks.shape[1], device=masks.device, dtype=torch.float32)
    total = covered.sum((1, 2))
    return torch.stack(((covered.sum(1) * x).sum(1) / total, (covered.sum(2) * y).sum(1) / total), dim=1)


def _radii(spans: Float[Tensor, "m 2"], overlap: float) -> Int[Tensor, " m"]:
    """CornerNet's radius (three cases, all divided by 2) for boxes of these widths and heights in cells."""
    total, area = spans.sum(1), spans.prod(1)
    cases = []
    for a, b, c in (
        (1.0, total, area * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * area),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * area),
    ):
        cases.append((b + (b**2 - 4 * a * c).sqrt()) / 2)
    return torch.stack(cases).amin(0).clamp(min=0).long()


def _heatmap(
    cells: Int[Tensor, "m 2"],
    radii: Int[Tensor, " m"],
    labels: Int[Tensor, " m"],
    shape: tuple[int, int, int],
    divisor: float,
) -> Float[Tensor, "t h w"]:
    """The largest of the Gaussians around the cells (x, y), each cut off beyond its radius."""
    result = torch.zeros(shape, device=cells.device)
    if not len(cells):
        return result
    reach = int(radii.max())
    steps = torch.arange(-reach, reach + 1, device=cells.device)
    sigma = (2 * radii.double() + 1) / divisor
    dx, dy = steps[None, None, :], steps[None, :, None]
    values = torch.exp(-(dx**2 + dy**2) / (2 * sigma[:, None, None] ** 2)).float()
    x, y = cells[:, 0, None, None] + dx, cells[:, 1, None, None] + dy
    inside = (dx.abs() <= radii[:, None, None]) & (dy.abs() <= radii[:, None, None])
    inside = inside & (x >= 0) & (x < shape[2]) & (y >= 0) & (y < shape[1])
    place = (labels[:, None, None] * shape[1] + y) * shape[2] + x
    flat = result.flatten().scatter_reduce_(0, place[inside], values[inside], "amax")
    return flat.view(shape)
