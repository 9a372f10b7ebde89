"""From masks to one panoptic map, on tensors: every pixel goes to one segment, nothing leaves the device.

`merge_by_argmax` is the rule of MaskFormer and YOSO: pixels go to the mask with the largest
score * probability, and a mask that lost too much of itself to others is dropped.

`merge_by_priority` is the rule of Panoptic FPN, which Panoptic FCN, EPSNet and dense detections share: masks
of things are painted by falling score, and stuff fills what they leave.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.argmax_fixed import contest_dense
from pansight.merging.argmax_pruned import contest_pruned
from pansight.merging.outcome import Outcome
from pansight.merging.priority_fixed import paint_dense
from pansight.merging.priority_pruned import paint_pruned
from pansight.merging.priority_rule import Cut, Painting, Stack
from pansight.merging.settings import Form
from pansight.merging.shares import Share, reaches
from pansight.merging.sizes import Sizes
from pansight.panoptic import PanopticBatch


class Candidates(NamedTuple):
    """Masks that may become segments, one row a query; rows beyond a picture's own count are not `kept`."""

    mask_logits: Float[Tensor, "b k h w"]
    scores: Float[Tensor, "b k"]
    """0..1"""
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]


def keep_first(kept: Bool[Tensor, "b n"], form: Form) -> Int[Tensor, "b k"]:
    """Query numbers, kept ones first in their order, as many as the fullest picture keeps (at least one).

    So only kept masks are ever computed; in the fixed form all queries stay.
    """
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
    if form == "pruned":
        return order[:, : max(1, int(kept.sum(1).max()))]
    return order


@torch.no_grad()
def merge_by_argmax(
    candidates: Candidates,
    sizes: Sizes,
    is_thing: Bool[Tensor, " c"],
    keep_share: float,
    rows: int,
    form: Form,
) -> PanopticBatch:
    """MaskFormer's panoptic merge (NeurIPS 2021, Sec. 3.4), as YOSO's released code applies it.

    1. Every pixel goes to the kept mask with the largest score * probability.
    2. A mask is dropped unless it won a pixel, has one of probability >= 0.5, and one that is both; and
       unless pixels won / pixels of probability >= 0.5 reaches `keep_share`. Won pixels count below
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
        form: see Form.

    Returns: the maps; `scores` holds a segment's best mask score.
    """
    contest = contest_pruned if form == "pruned" else contest_dense
    outcome = contest(candidates.mask_logits, candidates.scores, candidates.kept, sizes)
    return _assemble(candidates, outcome, is_thing, keep_share, rows)


def _assemble(
    candidates: Candidates,
    outcome: Outcome,
    is_thing: Bool[Tensor, " c"],
    keep_share: float,
    rows: int,
) -> PanopticBatch:
    """Number the accepted masks, join stuff of one category, and look every pixel's number up."""
    accepted = candidates.kept & (outcome.won > 0) & (outcome.whole > 0) & (outcome.both > 0)
    accepted &= reaches(outcome.won, outcome.whole, Share.least(keep_share))
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
    return PanopticBatch(maps, filled[:, 1:], best[:, 1:], total[:, 1:], torch.zeros_like(accepted[:, 0]))


class SoftMasks(NamedTuple):
    """Masks of things before they are enlarged and cut, one row a mask, in any order."""

    values: Float[Tensor, "b k h w"]
    """probabilities, or any scores of which a threshold makes a mask once they are enlarged"""
    scores: Float[Tensor, "b k"]
    """0.."""
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]
    """whether there is such a mask at all"""


class PriorityRule(NamedTuple):
    """Numbers of `merge_by_priority`."""

    mask_threshold: float
    inclusive: bool
    """whether an enlarged value of just `mask_threshold` belongs to the mask"""
    max_occlusion: float
    """greatest share of a mask that earlier ones may hold (a mask with just this share is painted); 0..1"""
    stuff_area: int
    """pixels of the output, below which stuff is void"""


@torch.no_grad()
def merge_by_priority(
    masks: SoftMasks,
    semantics: Int[Tensor, "b H W"],
    sizes: Sizes,
    is_thing: Bool[Tensor, " c"],
    rule: PriorityRule,
    form: Form,
    *,
    rows: int = 0,
    allowed: Bool[Tensor, "b k"] | None = None,
    beneath: Int[Tensor, "b H W"] | None = None,
) -> PanopticBatch:
    """Things by falling score, then stuff (Panoptic FPN, CVPR 2019, Sec. 4.2, "panoptic inference").

    1. Values are enlarged bilinearly (align_corners False) to `sizes.padded`, cropped to `sizes.valid`,
       resized to `sizes.output`, and cut at the threshold. For masks that the output is made of directly,
       give the values' own size as `padded` and `valid`.
    2. By falling score, of equal scores in their order: a mask without pixels is dropped; so is one of whose
       pixels, all of them, accepted masks hold more than `max_occlusion` (strictly). A dropped one takes
       nothing. Any other owns its pixels that are still free.
    3. Free pixels of each stuff category, by rising category, if there are `stuff_area` of them or more.
    4. All else is void. Ids are 1.. in this order.

    Exact: a mask's values are those of `F.interpolate` but for rounding in the last digits, everything after
    them is counted in whole numbers. No more than a tile of enlarged values exists at once.

    Args:
        masks: at most 2^20 a picture.
        semantics: category of each pixel of the outputs, by stuff alone; thing categories and -1 make void.
            They must do so beyond a picture's own size. See `pansight.merging.semantics.semantic_argmax`.
        sizes: of the padded input, the pictures in it, and the maps wanted. Pictures of different output
            size share one batch as large as the largest, void outside.
        is_thing: by category.
        rule: thresholds and limits.
        form: see Form.
        rows: least length of the segment table; there are always k + c rows at least.
        allowed: masks that may be painted; None: all that are kept. Others only count as lying on a pixel.
        beneath: like `semantics`, for free pixels on which some kept mask lies. None: `semantics` there too.

    Returns: the maps; things have their scores, stuff has the score 1.
    """
    if masks.kept.shape[1] == 0:
        # one that is not there spares everything below the special case
        masks = SoftMasks(*(part.new_zeros(len(part), 1, *part.shape[2:]) for part in masks))
        allowed = None
    order = _falling(masks.scores, masks.kept, form)
    painted = masks.kept if allowed is None else masks.kept & allowed
    categories, scores, present, painted = (
        column.gather(1, order) for column in (masks.categories, masks.scores, masks.kept, painted)
    )
    stack = Stack(_reordered(masks.values, order, form), present, painted)
    paint = paint_pruned if form == "pruned" else paint_dense
    painting = paint(stack, sizes, Cut(rule.mask_threshold, rule.inclusive), rule.max_occlusion)
    labels = semantics
    if beneath is not None:
        labels = torch.where(painting.owners == order.shape[1], beneath, semantics)
    return _fill(painting, categories, scores, labels, is_thing, rule.stuff_area, rows, form)


def _falling(scores: Float[Tensor, "b n"], kept: Bool[Tensor, "b n"], form: Form) -> Int[Tensor, "b k"]:
    """Rows by falling score, those not kept last; as many as the fullest picture keeps, see `keep_first`."""
    first = keep_first(kept, form)
    worth = torch.where(kept, scores.float(), -1.0).gather(1, first)
    return first.gather(1, worth.argsort(dim=1, descending=True, stable=True))


def _reordered(
    values: Float[Tensor, "b k h w"], order: Int[Tensor, "b m"], form: Form
) -> Float[Tensor, "b m h w"]:
    count = order.shape[1]
    in_order = torch.arange(count, device=order.device).expand_as(order)
    if form == "pruned" and torch.equal(order, in_order):
        return values[:, :count]
    return values.gather(1, order[..., None, None].expand(-1, -1, *values.shape[2:]))


def _fill(
    painting: Painting,
    categories: Int[Tensor, "b k"],
    scores: Float[Tensor, "b k"],
    labels: Int[Tensor, "b h w"],
    is_thing: Bool[Tensor, " c"],
    stuff_area: int,
    rows: int,
    form: Form,
) -> PanopticBatch:
    """Count what everything owns, number what stays, and look every pixel's number up."""
    batch, count = categories.shape
    # codes: 0..k-1 masks, k nothing, k + 1 + category stuff
    codes = torch.where(painting.owners < count, painting.owners, labels.clamp(min=-1).int() + (count + 1))
    total = count + 1 + len(is_thing)
    base = torch.arange(batch, device=codes.device, dtype=torch.int32)[:, None, None] * total
    codes = (codes + base).flatten()
    if form == "pruned":
        areas = torch.bincount(codes, minlength=batch * total)
    else:
        areas = torch.zeros(batch * total, dtype=torch.int64, device=codes.device)
        areas = areas.scatter_add(0, codes.long(), torch.ones_like(codes, dtype=torch.int64))
    areas = areas.view(batch, total)
    stuff = ~is_thing & (areas[:, count + 1 :] >= max(1, stuff_area))
    opens = torch.cat((painting.accepted, torch.zeros_like(stuff[:, :1]), stuff), dim=1) & (areas > 0)
    ids = torch.where(opens, opens.cumsum(1), 0)
    maps = ids.int().flatten().index_select(0, codes).view(painting.owners.shape)

    # rows of the segment table; row 0 of the wider scatter collects what is not there
    shape = (batch, max(rows, total - 1) + 1)
    numbers = torch.arange(-1, len(is_thing), device=codes.device).expand(batch, -1)
    filled = torch.full(shape, -1, dtype=torch.int64, device=codes.device)
    filled = filled.scatter(1, ids, torch.cat((categories.long(), numbers), dim=1))
    worth = torch.cat((scores, torch.ones_like(numbers, dtype=scores.dtype)), dim=1)
    worth = torch.zeros_like(filled, dtype=scores.dtype).scatter(1, ids, worth)
    total_area = torch.zeros_like(filled).scatter(1, ids, areas)
    overflow = torch.zeros_like(painting.accepted[:, 0])
    return PanopticBatch(maps, filled[:, 1:], worth[:, 1:], total_area[:, 1:], overflow)
