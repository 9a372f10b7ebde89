"""From masks to one panoptic map, on tensors: every pixel goes to one segment, nothing leaves the device.

`merge_by_argmax` is the rule of MaskFormer and YOSO: pixels go to the mask with the largest
score * probability, and a mask that lost too much of itself to others is dropped.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.contest.dense import contest_dense
from pansight.contest.outcome import Outcome
from pansight.contest.pruned import contest_pruned
from pansight.panoptic import PanopticBatch
from pansight.sizes import Sizes


class Candidates(NamedTuple):
    """Masks that may become segments, one row a query; rows beyond a picture's own count are not `kept`."""

    mask_logits: Float[Tensor, "b k h w"]
    scores: Float[Tensor, "b k"]
    """0..1"""
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]


def data_may_shape(device: torch.device) -> bool:
    """Whether shapes may depend on data: reading a count costs nothing on a CPU.

    Elsewhere it would stall the device, and compiled or exported graphs need fixed shapes.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()


def keep_first(kept: Bool[Tensor, "b n"]) -> Int[Tensor, "b k"]:
    """Query numbers, kept ones first in their order, as many as the fullest picture keeps (at least one).

    So only kept masks are ever computed; where `data_may_shape` forbids that, all queries stay.
    """
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
    if data_may_shape(kept.device):
        return order[:, : max(1, int(kept.sum(1).max()))]
    return order


@torch.no_grad()
def merge_by_argmax(
    candidates: Candidates,
    sizes: Sizes,
    is_thing: Bool[Tensor, " c"],
    overlap_threshold: float,
    rows: int,
) -> PanopticBatch:
    """MaskFormer's panoptic merge (NeurIPS 2021, Sec. 3.4), as YOSO's released code applies it.

    1. Every pixel goes to the kept mask with the largest score * probability.
    2. A mask is dropped unless it won a pixel, has one of probability >= 0.5, and one that is both; and
       unless pixels won / pixels of probability >= 0.5 reaches `overlap_threshold`. Won pixels count below
       0.5 too, so that ratio can exceed 1.
    3. What remains of a mask: its won pixels of probability >= 0.5. Stuff of one category becomes one
       segment; other pixels are void. Ids rise in query order.

    Logits are brought to the wanted size tile by tile; no more than a tile of the masks exists at once.

    Args:
        candidates: masks at the network's resolution (of the padded input).
        sizes: of the padded input, the pictures in it, and the maps wanted. Pictures of different output
            size share one batch as large as the largest, void outside.
        is_thing: by category.
        rows: length of the segment table, at least the number of candidates.

    Returns: the maps; `scores` holds a segment's best mask score.
    """
    contest = contest_pruned if data_may_shape(candidates.mask_logits.device) else contest_dense
    outcome = contest(candidates.mask_logits, candidates.scores, candidates.kept, sizes)
    return _assemble(candidates, outcome, is_thing, overlap_threshold, rows)


def _assemble(
    candidates: Candidates,
    outcome: Outcome,
    is_thing: Bool[Tensor, " c"],
    overlap_threshold: float,
    rows: int,
) -> PanopticBatch:
    """Number the accepted masks, join stuff of one category, and look every pixel's number up."""
    accepted = candidates.kept & (outcome.won > 0) & (outcome.whole > 0) & (outcome.both > 0)
    accepted &= outcome.won.double() / outcome.whole.double() >= overlap_threshold
    batch, count = accepted.shape
    device = accepted.device
    # a stuff mask joins the first accepted one of its category; everything else is its own first
    categories = candidates.categories.clamp(max=len(is_thing) - 1)
    joins = accepted & ~is_thing[categories]
    same = (categories[:, :, None] == categories[:, None]) & joins[:, :, None] & joins[:, None]
    own = torch.eye(count, dtype=torch.bool, device=device)
    first = (same | own).to(torch.uint8).argmax(2)
    opens = accepted & (first == torch.arange(count, device=device))
    ids = torch.where(accepted, opens.cumsum(1).gather(1, first), 0)

    # even codes are void, odd ones their mask's id
    table = torch.stack((torch.zeros_like(ids), ids), dim=2).int()
    base = torch.arange(batch, device=device, dtype=torch.int32)[:, None, None] * (2 * count)
    maps = table.flatten().index_select(0, (outcome.codes + base).flatten()).view(outcome.codes.shape)

    # rows of the segment table; row 0 of the wider scatter collects what is not accepted
    shape = (batch, max(rows, count) + 1)
    filled = torch.full(shape, -1, dtype=torch.int64, device=device)
    filled = filled.scatter(1, torch.where(opens, ids, 0), torch.where(opens, candidates.categories, -1))
    best = candidates.scores.new_zeros(shape)
    best = best.scatter_reduce(1, ids, torch.where(accepted, candidates.scores, 0), "amax")
    total = torch.zeros(shape, dtype=torch.int64, device=device)
    total = total.scatter_add(1, ids, torch.where(accepted, outcome.both, 0))
    return PanopticBatch(maps, filled[:, 1:], best[:, 1:], total[:, 1:])
