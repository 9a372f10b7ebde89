"""The priority merge on a CPU: edges of masks alone are upsampled, and runs of equal pixels compared.

Interpolation never leaves the range of the values that it mixes, so the smallest and largest value in a
tile's window show for most masks that the tile has none of them or is full of them. Where that leaves a
question, pixels are looked at, and at once put together to runs: neighbours in a row that the same masks
cover. There are few of those, so the extra rounds cost little.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from pansight.merging.priority_rule import SLACK, Cut, Ownership, Stack, accepted_by_share
from pansight.merging.room import Room
from pansight.merging.shares import Share
from pansight.merging.sizes import Sizes
from pansight.merging.tiles import Grid, common, grid_of, inside, upsample, windows
from pansight.nn.fixed_point import fixed_point


class Work(NamedTuple):
    """Tiles of one image that the same number of masks may cover."""

    maps: Float[Tensor, "k h w"]
    grid: Grid
    tiles: Int[Tensor, " t"]
    masks: Int[Tensor, "m t"]
    """rising in every tile"""
    clear: bool
    """whether each of the masks surely covers the whole tile"""
    image: int


class Runs(NamedTuple):
    """Runs of pixels that the same masks cover."""

    lengths: Int[Tensor, " r"]
    """pixels; of a run without masks it may count pixels beyond the image"""
    run: Int[Tensor, " e"]
    mask: Int[Tensor, " e"]
    """pairs of a run and a mask that covers it, counted through all images (k an image); sorted by run"""

    def areas(self, count: int) -> Int[Tensor, " n"]:
        """Pixels of each of `count` masks."""
        return _added(count, self.mask, self.lengths[self.run])

    def first(self, accepted: Bool[Tensor, " n"]) -> Int[Tensor, " r"]:
        """The first accepted mask of each run, or n."""
        here = torch.where(accepted[self.mask], self.mask, len(accepted))
        none = torch.full_like(self.lengths, len(accepted))
        return none.scatter_reduce_(0, self.run, here, "amin")

    def lost(self, accepted: Bool[Tensor, " n"]) -> Int[Tensor, " n"]:
        """Pixels of each mask that an accepted earlier one covers."""
        late = self.mask > self.first(accepted)[self.run]
        return _added(len(accepted), self.mask[late], self.lengths[self.run[late]])

    def shared(self) -> "Runs":
        """Only those that several masks cover."""
        several = torch.bincount(self.run, minlength=len(self.lengths)) > 1
        number = several.cumsum(0) - 1
        chosen = several[self.run]
        return Runs(self.lengths[several], number[self.run[chosen]], self.mask[chosen])


def _added(count: int, index: Int[Tensor, " e"], amounts: Int[Tensor, " e"]) -> Int[Tensor, " n"]:
    return torch.zeros(count, dtype=torch.int64).index_add_(0, index, amounts)


class Finding(NamedTuple):
    """The result of evaluating some tiles."""

    runs: Runs
    numbers: Int[Tensor, "t _"]
    """the run of each pixel; one a tile where all its pixels are one run"""


def owners_pruned(stack: Stack, sizes: Sizes, cut: Cut, most: Share, room: Room) -> Ownership:
    """See Ownership. Shapes of intermediate tensors depend on the data; for CPUs only."""
    batch, count, *source = stack.values.shape
    grids = [grid_of((source[0], source[1]), sizes, image) for image in range(batch)]
    works = [work for image, grid in enumerate(grids) for work in _plan(stack, image, grid, cut, room)]
    areas = torch.zeros(batch * count, dtype=torch.int64)
    findings: list[Finding | None] = []
    pixels, pairs = room.pixels, room.pairs
    for work in works:
        finding = _look(work, cut)
        areas += finding.runs.areas(len(areas))
        pixels -= finding.numbers.numel()
        pairs -= len(finding.runs.run)
        findings.append(finding if min(pixels, pairs) >= 0 else None)
    known = _joined([finding.runs.shared() for finding in findings if finding])
    forgotten = [work for work, finding in zip(works, findings, strict=True) if finding is None]

    def step(accepted: Bool[Tensor, "b k"]) -> Bool[Tensor, "b k"]:
        flat = accepted.flatten()
        lost = known.lost(flat)
        for work in forgotten:
            lost = lost + _look(work, cut).runs.lost(flat)
        return accepted_by_share(areas.view(batch, count), lost.view(batch, count), stack.allowed, most)

    accepted = fixed_point(step, stack.allowed & (areas > 0).view(batch, count))
    canvases = [grid.canvas(count + 1) for grid in grids]
    for work, found in zip(works, findings, strict=True):
        canvases[work.image].write(work.tiles, _owners(found or _look(work, cut), work.image, accepted))
    del findings
    return Ownership(common(canvases, count + 1), accepted)


def _plan(stack: Stack, image: int, grid: Grid, cut: Cut, room: Room) -> list[Work]:
    """Work for all tiles that some mask may cover; those that need equally many masks are done together."""
    maps = stack.values[image].float().contiguous()
    needed, ragged = _possible(maps, stack.present[image], grid, cut, room)
    clear = ~ragged.any(0)
    _, mask = needed.T.nonzero(as_tuple=True)
    numbers = needed.sum(0)
    begin = numbers.cumsum(0) - numbers
    kinds = 2 * numbers + clear
    works = []
    order = kinds.argsort(stable=True)
    for kind, tiles in enumerate(torch.split(order, torch.bincount(kinds).tolist())):
        number, is_clear = kind // 2, kind % 2 == 1
        if number == 0:
            continue
        pixels = 1 if is_clear else grid.rows.tile * grid.columns.tile
        for part in torch.split(tiles, max(1, room.chunk // (number * pixels))):
            masks = mask[begin[part] + torch.arange(number)[:, None]]
            works.append(Work(maps, grid, part, masks, is_clear, image))
    return works


def _possible(
    maps: Float[Tensor, "k h w"], present: Bool[Tensor, " k"], grid: Grid, cut: Cut, room: Room
) -> tuple[Bool[Tensor, "k t"], Bool[Tensor, "k t"]]:
    """Whether a mask may cover pixels of a tile, and whether it may cover some but not all of them."""
    count, height, width = maps.shape
    # most masks reach few rows of tiles, so only these are looked at closer
    tops = windows(maps.amax(2), grid.rows.windows).amax(2)
    pairs = ((tops + SLACK * tops.abs() >= cut.threshold) & present[:, None]).nonzero()
    needed, ragged = torch.zeros(2, count, grid.rows.tiles, grid.columns.tiles, dtype=torch.bool)
    for mask, row in (
        part.T for part in pairs.split(max(1, room.masks // (grid.rows.windows.shape[1] * width)))
    ):
        places = mask[:, None] * height + grid.rows.windows[row]
        lines = maps.view(-1, width).index_select(0, places.flatten()).view(*places.shape, width)
        lowest = windows(lines.amin(1), grid.columns.windows).amin(2)
        highest = windows(lines.amax(1), grid.columns.windows).amax(2)
        slack = SLACK * torch.maximum(lowest.abs(), highest.abs())
        needed[mask, row] = highest + slack >= cut.threshold
        ragged[mask, row] = needed[mask, row] & (lowest - slack <= cut.threshold)
    return needed.flatten(1), ragged.flatten(1)


def _look(work: Work, cut: Cut) -> Finding:
    """The runs of some tiles, and the number of the run that each pixel belongs to."""
    offset = work.image * len(work.maps)
    count, tiles = work.masks.shape
    if work.clear:
        numbers = torch.arange(tiles)
        run = numbers.repeat_interleave(count)
        runs = Runs(work.grid.areas()[work.tiles], run, work.masks.T.flatten() + offset)
        return Finding(runs, numbers[:, None].int())
    bits = cut.of(upsample(work.maps, work.masks, work.tiles, work.grid))
    within = inside(work.tiles, work.grid)
    if within is not None:
        bits &= within
    covered = bits.view(torch.uint8).flatten(2)
    starts = _starts(covered)
    first = starts.flatten().nonzero()[:, 0]
    lengths = torch.diff(first, append=torch.tensor([starts.numel()]))
    run, place = covered.flatten(1)[:, first].T.nonzero(as_tuple=True)
    mask = work.masks[place, (first // covered.shape[2])[run]] + offset
    numbers = starts.flatten().cumsum(0, dtype=torch.int32) - 1
    return Finding(Runs(lengths, run, mask), numbers.view(starts.shape))


def _starts(covered: UInt8[Tensor, "m t p"]) -> UInt8[Tensor, "t p"]:
    """1 where a run begins; every tile begins one."""
    starts = torch.ones_like(covered[0])
    starts[:, 1:] = (covered[..., 1:] ^ covered[..., :-1]).amax(0)
    return starts


def _joined(parts: list[Runs]) -> Runs:
    if not parts:
        empty = torch.zeros(0, dtype=torch.int64)
        return Runs(empty, empty, empty)
    offsets = [0]
    for part in parts:
        offsets.append(offsets[-1] + len(part.lengths))
    run = torch.cat([part.run + offset for part, offset in zip(parts, offsets[:-1], strict=True)])
    return Runs(torch.cat([part.lengths for part in parts]), run, torch.cat([part.mask for part in parts]))


def _owners(finding: Finding, image: int, accepted: Bool[Tensor, "b k"]) -> Int[Tensor, "t _"]:
    """Owner of each pixel of some tiles, as Ownership says it."""
    count = accepted.shape[1]
    first = finding.runs.first(accepted.flatten()) - image * count
    bare = torch.bincount(finding.runs.run, minlength=len(first)) == 0
    owner = torch.where(bare, count + 1, first.clamp(max=count)).int()
    return owner.index_select(0, finding.numbers.flatten()).view(finding.numbers.shape)
