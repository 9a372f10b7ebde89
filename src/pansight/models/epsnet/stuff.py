"""Which stuff is where things are not, twice over: with 'other' as it is, and with 'other' made weaker."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pansight.merging import Form
from pansight.merging.room import Room, room_for
from pansight.merging.semantics import first_best, running_argmax
from pansight.merging.sizes import Sizes
from pansight.merging.tiles import (
    Canvas,
    Grid,
    bounds,
    common,
    grid_of,
    least_by_tile,
    patch_minima,
    upsample,
)
from pansight.merging.upsampling import Upsampling

# Room for rounding in the interpolation, relative to the largest logit of an image.
SLACK = 1e-5

Channels = Int[Tensor, "b H W"]


@torch.no_grad()
def label(
    logits: Float[Tensor, "b s h w"],
    sizes: Sizes,
    handicap: float,
    form: Form,
    max_memory: int | None = None,
) -> tuple[Channels, Channels]:
    """The channel whose upsampled logit is largest, and the same with `handicap` taken off channel 0's.

    Of equal logits the first channel has it. Both are one answer but where channel 0 wins the first.

    Returns int32 channels; beyond an image's own output anything.
    """
    if form == "pruned":
        return _label_pruned(logits, sizes, handicap, room_for(max_memory, sizes.pixels()))
    rival = Upsampling(sizes, outside=0.0)(logits[:, 0])
    if logits.shape[1] == 1:
        nothing = torch.zeros_like(rival, dtype=torch.int32)
        return nothing, nothing
    top, best = running_argmax(logits[:, 1:], sizes)
    best = best.clamp(min=0) + 1
    return torch.where(rival >= top, 0, best), torch.where(rival - handicap >= top, 0, best)


def _label_pruned(
    logits: Float[Tensor, "b s h w"], sizes: Sizes, handicap: float, room: Room
) -> tuple[Channels, Channels]:
    """For CPUs: in each tile of the image only channels that may win there are upsampled."""
    found = []
    for picture in range(len(logits)):
        maps = logits[picture].float().contiguous()
        grid = grid_of((maps.shape[1], maps.shape[2]), sizes, picture)
        found.append(_tiles(maps, grid, handicap, room))
    both = common(found, 0)
    return both.clamp(min=0), both.abs_()


def _tiles(maps: Float[Tensor, "s h w"], grid: Grid, handicap: float, room: Room) -> Canvas:
    """Both answers for one image, tile by tile; those that need equally many channels are done together.

    A channel stands for both answers, a channel below 0 for the second where the first is channel 0.
    """
    weaker = torch.cat((maps[:1] - handicap, maps[1:]))
    _, highest = bounds(maps, grid)
    needed = highest >= least_by_tile(patch_minima(weaker, grid).amax(0), grid) - SLACK * maps.abs().amax()
    _, channel = needed.T.nonzero(as_tuple=True)
    numbers = needed.sum(0)
    begin = numbers.cumsum(0) - numbers
    pixels = grid.rows.tile * grid.columns.tile
    # what wins where one channel is needed; the other tiles are overwritten
    only = needed.to(torch.uint8).argmax(0).int()
    answers = grid.canvas(only)
    kinds = 2 * numbers + needed[0]
    for kind, tiles in enumerate(torch.split(kinds.argsort(stable=True), torch.bincount(kinds).tolist())):
        number, competing = kind // 2, kind % 2 == 1
        # none at all only where logits are NaN
        if number < 2:
            continue
        for part in torch.split(tiles, max(1, room.chunk // (number * pixels))):
            channels = channel[begin[part] + torch.arange(number)[:, None]]
            values = upsample(maps, channels, part, grid).flatten(2)
            top, best = _first_best(values[int(competing) :], channels[int(competing) :])
            if competing:
                best = torch.where(values[0] - handicap >= top, 0, best)
                best = torch.where(values[0] >= top, -best, best)
            answers.write(part, best)
    return answers


def _first_best(
    values: Float[Tensor, "m t p"], channels: Int[Tensor, "m t"]
) -> tuple[Float[Tensor, "t p"], Int[Tensor, "t p"]]:
    """The largest values, and the channel of the first of each."""
    top, place = first_best(values[None])
    # channels of a tile lie one behind the other in the table
    table = channels.T.int().contiguous()
    base = torch.arange(len(table), dtype=torch.int32)[:, None] * len(values)
    return top[0], table.flatten().index_select(0, (place[0] + base).flatten()).view(place[0].shape)
