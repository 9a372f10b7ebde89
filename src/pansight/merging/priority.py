"""The priority merge, Panoptic FPN's, which Panoptic FCN, EPSNet and dense detections share.

Masks of things take their pixels by falling score, and stuff fills what they leave. On tensors; nothing
leaves the device.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.numbers import Number
from pansight.merging.priority_fixed import owners_fixed
from pansight.merging.priority_pruned import owners_pruned
from pansight.merging.priority_rule import Cut, Stack
from pansight.merging.room import bands, by_table, counted, room_for
from pansight.merging.settings import Form
from pansight.merging.shares import Share
from pansight.merging.sizes import Sizes
from pansight.merging.top_k import top_k_kept, top_k_sorted
from pansight.merging.upsampling import histogram
from pansight.panoptic import PanopticBatch


class SoftMasks(NamedTuple):
    """Masks of things before they are upsampled and cut, one row per mask, in any order."""

    values: Float[Tensor, "b k h w"]
    """probabilities, or any scores of which a threshold makes a mask once they are upsampled"""
    scores: Float[Tensor, "b k"]
    """0.."""
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]
    """whether there is such a mask at all"""


class PriorityRule(NamedTuple):
    """Numbers of `merge_by_priority`."""

    mask_threshold: Number
    inclusive: bool
    """whether an upsampled value of just `mask_threshold` belongs to the mask"""
    max_occlusion: Number
    """greatest share of a mask that earlier ones may hold (a mask with just this share is kept); 0..1"""
    stuff_area: int | Tensor
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
    max_memory: int | None = None,
) -> PanopticBatch:
    """Things by falling score, then stuff (Panoptic FPN, CVPR 2019, Sec. 4.2, "panoptic inference").

    1. Values are upsampled bilinearly (align_corners False) to `sizes.padded`, cropped to `sizes.valid`,
       resized to `sizes.output`, and cut at the threshold. For masks that the output is made of directly,
       give the values' own size as `padded` and `valid`.
    2. By falling score, of equal scores in their order: a mask without pixels is dropped; so is one of whose
       pixels, all of them, accepted masks hold more than `max_occlusion` (strictly). A dropped one takes
       nothing. Any other owns its pixels that are still free.
    3. Free pixels of each stuff category, by rising category, if there are `stuff_area` of them or more.
    4. All else is void. Ids are 1.. in this order.

    Exact: a mask's values are those of `F.interpolate` but for rounding in the last digits, everything after
    them is counted in whole numbers. No more than a tile of upsampled values exists at once.

    Args:
        masks: at most 2^20 per image.
        semantics: category of each pixel of the outputs, by stuff alone; thing categories and -1 make void.
            They must do so beyond an image's own size. See `pansight.merging.semantics.semantic_argmax`.
        sizes: of the padded input, the images in it, and the maps wanted. Images of different output
            size share one batch as large as the largest, void outside.
        is_thing: by category.
        rule: thresholds and limits.
        form: see Form.
        rows: least length of the segment table; there are always k + c rows at least.
        allowed: masks that may own pixels; None: all that are kept. Others only count as lying on a pixel.
        beneath: like `semantics`, for free pixels on which some kept mask lies. None: `semantics` there too.
        max_memory: of the pruned form, see MergeSettings.

    Returns: the maps; things have their scores, stuff has the score 1.
    """
    if masks.kept.shape[1] == 0:
        # one that is not there spares everything below the special case
        masks = SoftMasks(*(part.new_zeros(part.shape[0], 1, *part.shape[2:]) for part in masks))
        allowed = None
    order = _falling(masks.scores, masks.kept, form)
    may_own = masks.kept if allowed is None else masks.kept & allowed
    categories, scores, present, may_own = (
        column.gather(1, order) for column in (masks.categories, masks.scores, masks.kept, may_own)
    )
    cut, most = Cut(rule.mask_threshold, rule.inclusive), Share.most(rule.max_occlusion)
    if form == "pruned":
        in_order = torch.equal(order, torch.arange(order.shape[1], device=order.device).expand_as(order))
        values = masks.values[:, : order.shape[1]] if in_order else _rows(masks.values, order)
        room = room_for(max_memory, sizes.pixels(), 4 * values.numel())
        ownership = owners_pruned(Stack(values, present, may_own), sizes, cut, most, room)
    else:
        stack = Stack(_rows(masks.values, order), present, may_own)
        ownership = owners_fixed(stack, sizes, cut, most, covering=beneath is not None)
    codes = (_coded_in_place if form == "pruned" else _coded)(
        ownership.owners, order.shape[1], semantics, beneath
    )
    return _fill(codes, ownership.accepted, categories, scores, is_thing, rule.stuff_area, rows, form)


def _falling(scores: Float[Tensor, "b n"], kept: Bool[Tensor, "b n"], form: Form) -> Int[Tensor, "b k"]:
    """Rows by falling score, those not kept last; pruned: as many as the fullest image keeps."""
    if form == "fixed":
        return top_k_sorted(scores.float(), kept, scores.shape[1])
    first = top_k_kept(kept, form)
    worth = torch.where(kept, scores.float(), -1.0).gather(1, first)
    return first.gather(1, worth.argsort(dim=1, descending=True, stable=True))


def _rows(values: Float[Tensor, "b k h w"], order: Int[Tensor, "b m"]) -> Float[Tensor, "b m h w"]:
    return values.gather(1, order[..., None, None].expand(-1, -1, *values.shape[2:]))


def _coded(
    owners: Int[Tensor, "*b w"],
    masks: int,
    labels: Int[Tensor, "*b w"],
    beneath: Int[Tensor, "*b w"] | None,
) -> Int[Tensor, "*b w"]:
    """Codes: 0..k-1 masks, k nothing, k + 1 + category stuff."""
    if beneath is not None:
        labels = torch.where(owners == masks, beneath, labels)
    return torch.where(owners < masks, owners, labels.clamp(min=-1).to(torch.int32) + masks + 1)


def _coded_in_place(
    owners: Int[Tensor, "*b w"],
    masks: int,
    labels: Int[Tensor, "*b w"],
    beneath: Int[Tensor, "*b w"] | None,
) -> Int[Tensor, "*b w"]:
    """The same in the memory of `owners`."""
    for place in bands(owners):
        some = None if beneath is None else beneath[place]
        owners[place] = _coded(owners[place], masks, labels[place], some)
    return owners


def _fill(
    codes: Int[Tensor, "b h w"],
    accepted: Bool[Tensor, "b k"],
    categories: Int[Tensor, "b k"],
    scores: Float[Tensor, "b k"],
    is_thing: Bool[Tensor, " c"],
    stuff_area: int | Tensor,
    rows: int,
    form: Form,
) -> PanopticBatch:
    """Count what everything owns, number what stays, and look every pixel's number up."""
    masks, device = categories.shape[1], categories.device
    areas = (counted if form == "pruned" else histogram)(codes, masks + 1 + len(is_thing))
    there = areas > 0
    stuff = ~is_thing & (areas[:, masks + 1 :] >= stuff_area) & there[:, masks + 1 :]
    opens = torch.cat((accepted & there[:, :masks], torch.zeros_like(stuff[:, :1]), stuff), dim=1)
    ids = torch.where(opens, opens.cumsum(1, dtype=torch.int32), 0)
    maps = by_table(ids, codes, form)
    # each row of the segment table is looked for among what has become a segment
    # by arithmetic: exporters take a shape that they can infer for that of the example
    kinds = torch.arange(-1, len(is_thing), device=device, dtype=torch.int32) + torch.zeros_like(ids[:, :1])
    kinds = torch.cat((categories.to(torch.int32), kinds), dim=1)
    worth = torch.cat((scores, torch.ones_like(areas[:, masks:], dtype=scores.dtype)), dim=1)
    numbers = torch.arange(1, max(rows, masks + len(is_thing)) + 1, device=device, dtype=torch.int32)
    belongs = numbers[:, None] == ids[:, None]
    return PanopticBatch(
        maps,
        torch.where(belongs, kinds[:, None], -1).amax(2),
        torch.where(belongs, worth[:, None], 0.0).amax(2),
        torch.where(belongs, areas[:, None], 0).sum(2, dtype=torch.int32),
        torch.zeros_like(there[:, 0]),
    )
