"""Choosing rows: those that are kept, or the best of them, in an order that ties cannot change.

The fixed form chooses with top-k over float32 keys that differ from one another, so that no runtime's way
with ties matters; what is chosen is then put in order by a stable sort of float32 (in ONNX: TopK, which puts
the first of equal values first).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.settings import Form


def top_k_kept(kept: Bool[Tensor, "b n"], form: Form, budget: int | None = None) -> Int[Tensor, "b k"]:
    """Row numbers, kept ones first in their order.

    Pruned: as many as the fullest image keeps (at least one), so that only kept masks are ever computed.
    Fixed: all, or `budget` of them.
    """
    count = kept.shape[1]
    if form == "pruned":
        order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
        return order[:, : max(1, int(kept.sum(1).max()))]
    places = torch.arange(count, device=kept.device, dtype=torch.float32)
    keys = torch.where(kept, -places, -places - count)
    return keys.topk(count if budget is None else min(count, budget), dim=1).indices


def top_k_in_place(worth: Float[Tensor, "b n"], count: int) -> Int[Tensor, "b k"]:
    """Places of the `count` largest values (of equal ones the first), rising. Fixed shapes; n below 2^24."""
    length = worth.shape[1]
    places = torch.arange(length, device=worth.device)
    if length <= count:
        return places.expand_as(worth)
    least = worth.topk(count, dim=1).values[:, -1:]
    above, equal = worth > least, worth == least
    room = count - above.sum(1, keepdim=True, dtype=torch.int32)
    chosen = above | (equal & (equal.to(torch.int32).cumsum(1, dtype=torch.int32) <= room))
    # not the length: in a graph that is traced it is not a number
    keys = torch.where(chosen, -places.to(torch.float32), -float(1 << 24))
    return keys.topk(count, dim=1).indices


def top_k_sorted(scores: Float[Tensor, "b n"], kept: Bool[Tensor, "b n"], count: int) -> Int[Tensor, "b k"]:
    """Places of the `count` best kept rows, best first, of equal scores the first; then rows not kept."""
    worth = torch.where(kept, scores, -1.0)
    places = top_k_in_place(worth, count)
    order = worth.gather(1, places).sort(dim=1, descending=True, stable=True).indices
    return places.gather(1, order)
