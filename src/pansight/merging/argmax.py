"""The argmax merge, MaskFormer's and YOSO's: pixels go to the mask with the largest score * probability.

A mask that lost too much of itself to others is dropped. On tensors; nothing leaves the device.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.argmax_fixed import winners_fixed
from pansight.merging.argmax_pruned import winners_pruned
from pansight.merging.numbers import Number
from pansight.merging.room import by_table, room_for
from pansight.merging.settings import Form
from pansight.merging.shares import Share, reaches
from pansight.merging.sizes import Sizes
from pansight.merging.winners import Winners
from pansight.panoptic import PanopticBatch


class Candidates(NamedTuple):
    """Masks that may become segments, one row per query; rows beyond an image's own count are not `kept`."""

    mask_logits: Float[Tensor, "b k h w"]
    scores: Float[Tensor, "b k"]
    """0..1"""
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]


@torch.no_grad()
def merge_by_argmax(
    candidates: Candidates,
    sizes: Sizes,
    is_thing: Bool[Tensor, " c"],
    keep_share: Number,
    rows: int,
    form: Form,
    max_memory: int | None = None,
) -> PanopticBatch:
    """MaskFormer's panoptic merge (NeurIPS 2021, Sec. 3.4), as YOSO's released code applies it.

    1. Every pixel goes to the kept mask with the largest score * probability, of equal ones to the first.
    2. A mask is dropped unless it won a pixel, has one of probability >= 0.5, and one that is both; and
       unless pixels won / pixels of probability >= 0.5 reaches `keep_share`. Won pixels count below
       0.5 too, so that ratio can exceed 1.
    3. What remains of a mask: its won pixels of probability >= 0.5. Stuff of one category becomes one
       segment; other pixels are void. Ids rise in query order.

    Logits are brought to the wanted size tile by tile (pruned) or mask by mask (fixed); full-size masks never
    exist together.

    Args:
        candidates: masks at the network's resolution (of the padded input).
        sizes: of the padded input, the images in it, and the maps wanted. Images of different output size
            share one batch as large as the largest, void outside.
        is_thing: by category.
        keep_share: 0.. ; up to four decimals count.
        rows: length of the segment table, at least the number of candidates.
        form: see Form.
        max_memory: of the pruned form, see MergeSettings.

    Returns: the maps; `scores` holds a segment's best mask score.
    """
    masks = candidates.mask_logits, candidates.scores, candidates.kept
    if form == "pruned":
        winners = winners_pruned(*masks, sizes, room_for(max_memory, sizes.pixels()))
    else:
        winners = winners_fixed(*masks, sizes)
    accepted = candidates.kept & (winners.won > 0) & (winners.whole > 0) & (winners.both > 0)
    accepted = accepted & reaches(winners.won, winners.whole, Share.least(keep_share))
    return _assemble(candidates, winners, accepted, is_thing, rows, form)


def _assemble(
    candidates: Candidates,
    winners: Winners,
    accepted: Bool[Tensor, "b k"],
    is_thing: Bool[Tensor, " c"],
    rows: int,
    form: Form,
) -> PanopticBatch:
    """Number the accepted masks, join stuff of one category, and look every pixel's number up."""
    count = accepted.shape[1]
    numbers = torch.arange(count, device=accepted.device, dtype=torch.int32)
    # a stuff mask joins the first accepted one of its category; everything else is its own first
    categories = candidates.categories.clamp(max=len(is_thing) - 1)
    joins = accepted & ~is_thing[categories]
    same = (categories[:, :, None] == categories[:, None]) & joins[:, :, None] & joins[:, None]
    same = same | (numbers[:, None] == numbers)
    first = torch.where(same, numbers, count).amin(2)
    opens = accepted & (first == numbers)
    ids = torch.where(accepted, opens.cumsum(1, dtype=torch.int32).gather(1, first.long()), 0)
    # even codes are void, odd ones their mask's id
    table = torch.stack((torch.zeros_like(ids), ids), dim=2).flatten(1)
    maps = by_table(table, winners.codes, form)
    # each row of the segment table gathers from the few masks that belong to it
    belongs = (
        torch.arange(1, max(rows, count) + 1, device=ids.device, dtype=torch.int32)[:, None] == ids[:, None]
    )
    filled = torch.where(belongs, candidates.categories[:, None].to(torch.int32), -1).amax(2)
    best = torch.where(belongs, candidates.scores[:, None], 0.0).amax(2)
    areas = torch.where(belongs, winners.both[:, None].to(torch.int32), 0).sum(2, dtype=torch.int32)
    return PanopticBatch(maps, filled, best, areas, torch.zeros_like(accepted[:, 0]))
