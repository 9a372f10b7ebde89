"""From detections and prototypes to panoptic maps (Sec. 3.4)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging import Form, PriorityRule, SoftMasks, merge_by_priority, top_k_kept
from pansight.merging.room import renumber
from pansight.merging.sizes import Sizes
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.detection import Detections
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.models.epsnet.stuff import label
from pansight.panoptic import PanopticBatch

OTHER_INSIDE = 1.0
"""what 'other' loses inside the masks of things"""


def assemble_masks(
    prototypes: Float[Tensor, "b k h w"],
    coefficients: Float[Tensor, "b n k"],
    boxes: Float[Tensor, "b n 4"],
) -> Float[Tensor, "b n h w"]:
    """Probabilities: combinations of prototypes (Eq. 3), 0 outside the boxes."""
    logits = (coefficients.float() @ prototypes.float().flatten(2)).unflatten(2, prototypes.shape[2:])
    return logits.sigmoid() * inside(boxes, (logits.shape[2], logits.shape[3]))


def inside(boxes: Float[Tensor, "*n 4"], size: tuple[int, int]) -> Bool[Tensor, "*n h w"]:
    """Pixels of a map of `size` within boxes (shares of its sides), which are one pixel larger all around."""
    sides = []
    for axis in (0, 1):
        length = size[1 - axis]
        ends = boxes[..., axis::2] * length
        first = (ends.amin(-1) - 1).clamp(min=0)[..., None]
        last = (ends.amax(-1) + 1).clamp(max=length)[..., None]
        line = torch.arange(length, device=boxes.device, dtype=boxes.dtype)
        sides.append((line >= first) & (line < last))
    return sides[1][..., :, None] & sides[0][..., None, :]


@torch.no_grad()
def merge_epsnet(
    outputs: EPSNetOutputs,
    detections: Detections,
    sizes: Sizes,
    thing_categories: Int[Tensor, " t"],
    stuff_categories: Int[Tensor, " s"],
    rule: PriorityRule,
    config: EPSNetConfig,
    form: Form,
    *,
    direct: bool,
    max_memory: int | None = None,
) -> PanopticBatch:
    """Masks of detections by falling score, then stuff where neither they nor 'other' are.

    With `direct`, and where all images fill the input, maps are brought to the output's size at once, as in
    the released code; else through the padded input's size.
    """
    found = detections if form == "fixed" else detections.rows(top_k_kept(detections.kept, form))
    allowed = found.kept & _has_area(found.boxes, sizes)
    values = assemble_masks(outputs.prototypes, found.coefficients, found.boxes)
    direct = direct and all(valid == sizes.padded for valid in sizes.valid)
    categories = torch.arange(len(thing_categories) + len(stuff_categories), device=values.device)
    is_thing = (categories[:, None] == thing_categories).any(1)
    masks = SoftMasks(values, found.scores, thing_categories[found.classes], found.kept)
    logits = outputs.semantic_logits
    # the two need not be of one size
    mask_sizes, logit_sizes = (_from_own(maps, sizes) if direct else sizes for maps in (values, logits))
    labels, beneath = _semantics(logits, found.kept, logit_sizes, stuff_categories, config, form, max_memory)
    merged = merge_by_priority(
        masks,
        labels,
        mask_sizes,
        is_thing,
        rule,
        form,
        rows=config.detections,
        allowed=allowed,
        beneath=beneath,
        max_memory=max_memory,
    )
    return merged if form == "pruned" else merged._replace(overflow=detections.overflow)


def _from_own(maps: Float[Tensor, "b n h w"], sizes: Sizes) -> Sizes:
    """Sizes with which outputs are made of the maps directly."""
    own = (maps.shape[2], maps.shape[3])
    return Sizes(own, [own] * len(sizes.output), sizes.output)


def _semantics(
    logits: Float[Tensor, "b s h w"],
    kept: Bool[Tensor, "b n"],
    sizes: Sizes,
    stuff_categories: Int[Tensor, " s2"],
    config: EPSNetConfig,
    form: Form,
    max_memory: int | None,
) -> tuple[Int[Tensor, "b H W"], Int[Tensor, "b H W"]]:
    """Stuff category of each pixel, -1 where 'other' wins; and the same for pixels inside masks.

    Without a detection the released code drops 'other' and lets the class of unlabelled pixels, which was
    never learned, compete in its place; `other_without_things` lets 'other' stay.
    """
    rival = logits[:, -1:]
    if not config.other_without_things:
        rival = torch.where(kept.any(1)[:, None, None, None], rival, logits[:, :1])
    labels = label(torch.cat((rival, logits[:, 1:-1]), dim=1), sizes, OTHER_INSIDE, form, max_memory)
    table = torch.cat((stuff_categories.new_full((1,), -1), stuff_categories)).to(torch.int32)
    if form == "pruned":
        tables = table.expand(len(logits), -1)
        return renumber(tables, labels[0]), renumber(tables, labels[1])
    outside, within = (table.index_select(0, each.flatten()).view(each.shape) for each in labels)
    return outside, within


def _has_area(boxes: Float[Tensor, "b n 4"], sizes: Sizes) -> Bool[Tensor, "b n"]:
    """Whether a box, cut to the image and to whole pixels of the output, has any."""
    output = sizes.output_on(boxes.device).to(boxes.dtype).flip(1)[:, None]
    # of boxes on a padded input: shares of the image inside it
    padded = sizes.padded_on(boxes.device).to(boxes.dtype).flip(0)
    scale = output * padded / sizes.valid_on(boxes.device).to(boxes.dtype).flip(1)[:, None]
    low = torch.minimum(boxes[..., :2], boxes[..., 2:]) * scale
    high = torch.maximum(boxes[..., :2], boxes[..., 2:]) * scale
    low, high = (torch.minimum(end.clamp(min=0), output).to(torch.int32) for end in (low, high))
    return (high > low).all(-1)
