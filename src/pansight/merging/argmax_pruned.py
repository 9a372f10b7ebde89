"""The argmax merge's winners on a CPU: most of the image is decided at the masks' own resolution.

Interpolation never leaves the range of the values that it mixes. So the smallest and largest logit in a
tile's window bound what a mask can be anywhere in the tile, and a mask that cannot reach what some other mask
surely has is not evaluated there. Where one mask is left and is clearly above or below one half, nothing is
upsampled at all. Exact: only masks that cannot win are left out.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from pansight.merging.room import Room
from pansight.merging.sizes import Sizes
from pansight.merging.tiles import (
    Canvas,
    Grid,
    bounds,
    common,
    grid_of,
    inside,
    least_by_tile,
    patch_minima,
    upsample,
)
from pansight.merging.winners import Winners

# Room for rounding in the interpolation, relative to the largest logit of a window.
SLACK = 1e-5

Logits = Float[Tensor, "k h w"]


class Plan(NamedTuple):
    """The masks and tiles that remain to be evaluated."""

    needed: Bool[Tensor, "k t"]
    """masks that may win pixels of a tile, or whose own region ends in it"""
    mixed: Bool[Tensor, "k t"]
    """masks that may be on both sides of one half in a tile"""
    solid: Bool[Tensor, "k t"]
    """masks that are at least one half all over a tile"""
    decided: Bool[Tensor, " t"]
    """tiles in which one mask is needed, and is clear"""


def winners_pruned(
    mask_logits: Float[Tensor, "b k h w"],
    scores: Float[Tensor, "b k"],
    kept: Bool[Tensor, "b k"],
    sizes: Sizes,
    room: Room,
) -> Winners:
    """See Winners. Shapes of intermediate tensors depend on the data; for CPUs only."""
    batch, count, *source = mask_logits.shape
    counts = torch.zeros(3, batch, count, dtype=torch.int64)
    canvases = []
    for image in range(batch):
        grid = grid_of((source[0], source[1]), sizes, image)
        logits = mask_logits[image].float().contiguous()
        canvas, won, whole = _winners(logits, scores[image].float(), kept[image], grid, room)
        canvases.append(canvas)
        counts[:, image] = torch.stack((won.sum(1), whole, won[:, 1]))
    return Winners(common(canvases, 0), counts[0], counts[1], counts[2])


def _winners(
    logits: Logits, scores: Float[Tensor, " k"], kept: Bool[Tensor, " k"], grid: Grid, room: Room
) -> tuple[Canvas, Int[Tensor, "k 2"], Int[Tensor, " k"]]:
    """One image: its codes, won pixels below and above one half, and own regions' sizes."""
    count = len(logits)
    plan = _plan(logits, scores, kept, grid, room)
    pixels = grid.rows.tile * grid.columns.tile
    areas = grid.areas()
    whole = (plan.solid * areas).sum(1)
    # the code of decided tiles; the others are overwritten
    first = plan.needed.to(torch.uint8).argmax(0)
    code = 2 * first + plan.solid.gather(0, first[None])[0]
    won = torch.zeros(2 * count, dtype=torch.int64).index_add_(0, code, areas * plan.decided)
    canvas = grid.canvas(code.int())

    # tiles that need equally many masks are done together
    numbers = torch.where(plan.decided, 0, plan.needed.sum(0))
    tile, mask = plan.needed.T.nonzero(as_tuple=True)
    begin = torch.searchsorted(tile, torch.arange(len(areas)))
    order = numbers.argsort(stable=True)
    for number, tiles in enumerate(torch.split(order, torch.bincount(numbers).tolist())):
        if number == 0:
            continue
        for part in torch.split(tiles, max(1, room.chunk // (number * pixels))):
            masks = mask[begin[part] + torch.arange(number)[:, None]]
            values = upsample(logits, masks, part, grid)
            within = inside(part, grid)
            solid = (values >= 0).view(torch.uint8)
            visible = solid if within is None else solid * within.view(torch.uint8)
            region = visible.flatten(2).sum(2) * plan.mixed[masks, part]
            whole.index_add_(0, masks.flatten(), region.flatten())
            code = _decide(values, solid, scores[masks], masks)
            counted = code.flatten() if within is None else code[within.flatten(1)]
            won += torch.bincount(counted, minlength=2 * count)
            canvas.write(part, code)
    return canvas, won.view(count, 2), whole


def _plan(
    logits: Logits, scores: Float[Tensor, " k"], kept: Bool[Tensor, " k"], grid: Grid, room: Room
) -> Plan:
    # a few masks at a time: their copies are as large as they are
    some = max(1, room.masks // max(1, logits[0].numel()))
    lowest, highest = (
        torch.cat(ends) for ends in zip(*(bounds(part, grid) for part in logits.split(some)), strict=True)
    )
    slack = SLACK * torch.maximum(lowest.abs(), highest.abs())
    lowest, highest = lowest - slack, highest + slack
    scores = torch.where(kept, scores, 0)
    reachable = highest.sigmoid() * scores[:, None]
    mixed = (highest >= 0) & (lowest < 0)
    # the interpolation rounds as if a logit changed by `slack`, the sigmoid in its last digits
    floor = _floor(logits, scores, grid, some) * (-slack.amax()).exp() * (1 - 1e-6)
    needed = ((reachable >= floor) | mixed) & kept[:, None]
    decided = (needed.sum(0) == 1) & ~(mixed & needed).any(0)
    return Plan(needed, mixed, lowest >= 0, decided | ~needed.any(0))


def _floor(logits: Logits, scores: Float[Tensor, " k"], grid: Grid, some: int) -> Float[Tensor, " t"]:
    """A score * probability that some mask surely has, at every pixel of each tile."""
    parts = zip(logits.split(some), scores.split(some), strict=True)
    worth = [(patch_minima(part, grid).sigmoid() * score[:, None, None]).amax(0) for part, score in parts]
    return least_by_tile(torch.stack(worth).amax(0), grid)


def _decide(
    values: Float[Tensor, "m t th tw"],
    solid: UInt8[Tensor, "m t th tw"],
    scores: Float[Tensor, "m t"],
    masks: Int[Tensor, "m t"],
) -> Int[Tensor, "t p"]:
    """Codes of tiles that need m masks each. Overwrites `values`.

    argmax and comparisons across types are 20 to 1000 times slower than arithmetic on small integers here, so
    the first of the best is found as the largest of small ranks that fall with the mask's number.
    """
    number = len(values)
    if number == 1:
        return (2 * masks[0])[:, None].int() + solid[0].flatten(1)
    worth = values.sigmoid_().mul_(scores[:, :, None, None])
    best = (worth == worth.amax(0)).view(torch.uint8)
    if number > 127:
        best = best.to(torch.int32)
    rank = torch.arange(2 * number, 0, -2, dtype=best.dtype)[:, None, None, None]
    top = (best * (solid + rank)).amax(0).flatten(1).int()
    # ranks to codes: 2 and 3 belong to the last mask; 0 and 1 appear only where values are NaN
    falling = masks.flip(0)
    table = torch.stack((2 * falling, 2 * falling + 1), 1).flatten(0, 1).int()
    table = torch.cat((torch.zeros_like(table[:2]), table)).T.contiguous()
    base = torch.arange(table.shape[0], dtype=torch.int32)[:, None] * table.shape[1]
    return table.flatten().index_select(0, (top + base).flatten()).view(top.shape)
