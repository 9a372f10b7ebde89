"""What each cell should say (Sec. 4.1, Eq. 8-10), from masks, or from boxes alone (Sec. 5.6)."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.models.base import Target
from pansight.models.dense_detection.outputs import DENSE_STRIDE, STRIDES
from pansight.nn.boxes import boxes_of

BACKGROUND = -1
IGNORED = -2
UNBOUNDED = float("inf")


class Cells(NamedTuple):
    """Cells of one or more grids, laid end to end, each row by row; p of them."""

    x: Int[Tensor, " p"]
    """pixel that the cell stands for"""
    y: Int[Tensor, " p"]
    low: Float[Tensor, " p"]
    """range of the greatest offset that the cell's grid is for, both ends included (Eq. 9)"""
    high: Float[Tensor, " p"]


class Things(NamedTuple):
    """The things of one image that are to be found; m of them. Nothing of their masks."""

    boxes: Float[Tensor, "m 4"]
    """x1, y1, x2, y2 in pixels; x2 and y2 one beyond the last"""
    labels: Int[Tensor, " m"]
    """thing channel"""


class BoxTarget(NamedTuple):
    """The truth of one image without any instance mask: all that weak supervision is given."""

    things: Things
    crowds: Float[Tensor, "c 4"]
    """boxes of groups that annotators did not take apart"""
    size: tuple[int, int]


class CellTarget(NamedTuple):
    """What the cells of one image, or of several laid end to end, should say; p of them."""

    owners: Int[Tensor, " p"]
    """row of Things that the cell is to find, BACKGROUND or IGNORED"""
    labels: Int[Tensor, " p"]
    """thing channel of the owner; -1 where there is none"""
    offsets: Float[Tensor, "p 4"]
    """left, top, right, bottom to the owner's box in pixels (Eq. 8); anything where there is none"""
    open: Bool[Tensor, " p"] | None = None
    """cells without an owner on unlabelled ground: only the complete things are certainly not there"""

    @property
    def foreground(self) -> Bool[Tensor, " p"]:
        """Cells with an owner."""
        return self.owners >= 0

    @property
    def valid(self) -> Bool[Tensor, " p"]:
        """Cells that losses may look at."""
        return self.owners != IGNORED


def grid_cells(
    sizes: list[tuple[int, int]],
    strides: tuple[int, ...],
    ranges: list[tuple[float, float]],
    device: torch.device,
) -> Cells:
    """Cells of grids of these heights and widths; cell (i, j) stands for (s * j + s // 2, s * i + s // 2)."""
    parts = []
    for (height, width), stride, (low, high) in zip(sizes, strides, ranges, strict=True):
        y = torch.arange(height, device=device) * stride + stride // 2
        x = torch.arange(width, device=device) * stride + stride // 2
        ends = torch.tensor((low, high), device=device).expand(height * width, 2)
        parts.append((x.repeat(height), y.repeat_interleave(width), ends[:, 0], ends[:, 1]))
    return Cells(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def level_cells(sizes: list[tuple[int, int]], bounds: tuple[float, ...], device: torch.device) -> Cells:
    """Cells of P3..P7, whose `sizes` are those of the network's maps."""
    ends = (-1.0, *bounds, UNBOUNDED)
    return grid_cells(sizes, STRIDES, list(pairwise(ends)), device)


def dense_cells(size: tuple[int, int], device: torch.device) -> Cells:
    """Cells of the map of `size` from which masks are made; they are for things of every size."""
    return grid_cells([size], (DENSE_STRIDE,), [(-1.0, UNBOUNDED)], device)


def at_cells(masks: Bool[Tensor, "n h w"], cells: Cells) -> Bool[Tensor, "n p"]:
    """Masks at the one pixel that each cell stands for; False beyond the masks' borders."""
    height, width = masks.shape[1:]
    inside = (cells.x < width) & (cells.y < height)
    return masks[:, cells.y.clamp(max=height - 1), cells.x.clamp(max=width - 1)] & inside


def offsets_to(boxes: Float[Tensor, "*n 4"], cells: Cells) -> Float[Tensor, "*m 4"]:
    """Left, top, right, bottom from cells to boxes (Eq. 8); the last axes of both broadcast."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((cells.x - x1, cells.y - y1, x2 - cells.x, y2 - cells.y), dim=-1)


def find_things(target: Target, channels: Int[Tensor, " n"]) -> BoxTarget:
    """The boxes of an image's things; masks are read here and nowhere else under weak supervision.

    `channels` gives each category's thing channel, -1 for stuff.
    """
    labels = channels[target.categories]
    boxes = boxes_of(target.masks)
    plain = (labels >= 0) & ~target.crowd
    crowd = (labels >= 0) & target.crowd
    return BoxTarget(Things(boxes[plain], labels[plain]), boxes[crowd], target.size)


def open_cells(
    target: Target, owners: Int[Tensor, " p"], channels: Int[Tensor, " n"], cells: Cells
) -> Bool[Tensor, " p"] | None:
    """Background cells whose pixel nothing labels, so that some thing may be there; None: there are none."""
    if not target.partial or not bool((~target.impossible(len(channels)) & (channels >= 0)).any()):
        return None
    return (owners == BACKGROUND) & at_cells(target.unknown()[None], cells)[0]


def semantics_of(target: Target, stride: int) -> Int[Tensor, "h2 w2"]:
    """Category at every `stride`-th pixel (from stride // 2), -1 where none is given; crowds count."""
    start = stride // 2
    masks = target.masks[:, start::stride, start::stride]
    if not len(masks):
        return torch.full(masks.shape[1:], -1, device=masks.device)
    # masks never overlap, so the sum over them picks the one that is there
    numbers = (target.categories + 1).float()
    return torch.einsum("n,nhw->hw", numbers, masks.float()).long() - 1


def owners_by_mask(target: Target, channels: Int[Tensor, " n"], cells: Cells) -> Int[Tensor, " p"]:
    """The thing under each cell's pixel, numbered as in `find_things`, whatever its size."""
    labels = channels[target.categories]
    plain = (labels >= 0) & ~target.crowd
    numbers = torch.where(plain, plain.cumsum(0) - 1, BACKGROUND)
    numbers = numbers.masked_fill((labels >= 0) & target.crowd, IGNORED)
    under = at_cells(target.masks, cells)
    owners = torch.einsum("n,np->p", (numbers - BACKGROUND).float(), under.float()).long() + BACKGROUND
    return owners.masked_fill(beyond(cells, target.size), IGNORED)


def owners_by_box(truth: BoxTarget, cells: Cells) -> Int[Tensor, " p"]:
    """The smallest thing of the cell's range whose box holds the cell's pixel (FCOS's rule).

    Cells in no thing's box but in a crowd's are ignored.
    """
    boxes = truth.things.boxes
    inside, furthest = _reach(boxes, cells)
    eligible = inside & (furthest >= cells.low) & (furthest <= cells.high)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    cost = torch.where(eligible, areas[:, None], UNBOUNDED)
    owners = torch.full_like(cells.x, BACKGROUND)
    if len(boxes):
        least, smallest = cost.min(0)
        owners = torch.where(least < UNBOUNDED, smallest, BACKGROUND)
    in_crowd = _reach(truth.crowds, cells)[0].any(0) & ~inside.any(0)
    return owners.masked_fill(in_crowd | beyond(cells, truth.size), IGNORED)


def _reach(boxes: Float[Tensor, "m 4"], cells: Cells) -> tuple[Bool[Tensor, "m p"], Float[Tensor, "m p"]]:
    """Whether each box holds each cell's pixel, and the greatest of the four offsets."""
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    left, top, right, bottom = cells.x - x1, cells.y - y1, x2 - cells.x, y2 - cells.y
    # x2 is one beyond the last pixel
    inside = (left >= 0) & (top >= 0) & (right > 0) & (bottom > 0)
    return inside, torch.maximum(torch.maximum(left, right), torch.maximum(top, bottom))


def beyond(cells: Cells, size: tuple[int, int]) -> Bool[Tensor, " p"]:
    """Cells whose pixel is outside the true image."""
    return (cells.y >= size[0]) | (cells.x >= size[1])


def cell_target(owners: Int[Tensor, " p"], things: Things, cells: Cells) -> CellTarget:
    """Labels and offsets of the owners; cells whose owner is not of their range have none (Eq. 9)."""
    if not len(things.boxes):
        nothing = things.boxes.new_zeros(len(owners), 4)
        return CellTarget(owners, torch.full_like(owners, -1), nothing)
    owner = owners.clamp(min=0)
    offsets = offsets_to(things.boxes[owner], cells)
    furthest = offsets.amax(1)
    fits = (furthest >= cells.low) & (furthest <= cells.high)
    owners = torch.where((owners >= 0) & ~fits, BACKGROUND, owners)
    return CellTarget(owners, torch.where(owners >= 0, things.labels[owner], -1), offsets)


def centerness_of(offsets: Float[Tensor, "p 4"]) -> Float[Tensor, " p"]:
    """1 in a box's middle, 0 on its border (Eq. 10); offsets of foreground cells."""
    left, top, right, bottom = offsets.unbind(1)
    across = torch.minimum(left, right) / torch.maximum(left, right)
    along = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * along).sqrt()


def levels_of(offsets: Float[Tensor, "p 4"], bounds: tuple[float, ...]) -> Int[Tensor, " p"]:
    """1 to 5 for P3 to P7: the finest level whose range holds the greatest offset."""
    ends = torch.tensor(bounds, device=offsets.device)
    return 1 + (offsets.amax(1)[:, None] > ends).sum(1)
