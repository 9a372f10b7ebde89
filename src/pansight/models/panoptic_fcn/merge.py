"""From the network's maps to panoptic maps (Sec. 3.3): find, fuse, make masks, rescore, merge."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging import Candidates, Form, PriorityRule, SoftMasks, merge_by_priority, top_k_kept
from pansight.merging.numbers import Number
from pansight.merging.room import by_table, renumber
from pansight.merging.semantics import semantic_argmax
from pansight.merging.sizes import Sizes
from pansight.models.panoptic_fcn.fusion import StuffKernels, ThingKernels
from pansight.panoptic import PanopticBatch


class SoftInstances(NamedTuple):
    """Soft masks of things at a quarter of the padded input, in the order of their rescored scores."""

    masks: Float[Tensor, "b n h4 w4"]
    """probabilities"""
    classes: Int[Tensor, "b n"]
    """thing channel"""
    scores: Float[Tensor, "b n"]
    """of the peak times the mean probability inside the mask, 0..1"""
    kept: Bool[Tensor, "b n"]


def make_instances(
    kernels: ThingKernels,
    features: Float[Tensor, "b d h4 w4"],
    mask_threshold: Number,
    least: Number,
    most: int,
    form: Form,
    budget: int | None = None,
) -> SoftInstances:
    """Masks of fused kernels, rescored; those below `least` are dropped, and all but the `most` best.

    In the fixed form the first `budget` kernels alone become masks.

    A rescored score never exceeds the peak's, so kernels of peaks below `least` are not even multiplied in
    the pruned form.
    """
    worth = kernels.kept & (kernels.scores >= least)
    chosen = top_k_kept(worth, form, budget)
    rows = chosen[..., None].expand(-1, -1, kernels.kernels.shape[2])
    weights = kernels.kernels.gather(1, rows)
    kept, classes, scores = (part.gather(1, chosen) for part in (worth, kernels.classes, kernels.scores))
    masks = make_masks(weights, features)
    inside = masks > mask_threshold
    scores = scores * (masks * inside).sum((2, 3)) / (inside.sum((2, 3), dtype=torch.int32) + 1e-6)
    kept = kept & (scores >= least)
    order = torch.where(kept, scores, -1.0).sort(dim=1, descending=True, stable=True).indices[:, :most]
    kept, classes, scores = (part.gather(1, order) for part in (kept, classes, scores))
    masks = masks.gather(1, order[..., None, None].expand(-1, -1, *masks.shape[2:]))
    return SoftInstances(masks, classes, scores, kept)


def make_masks(
    kernels: Float[Tensor, "b n d"], features: Float[Tensor, "b d h4 w4"]
) -> Float[Tensor, "b n h4 w4"]:
    """Probabilities: kernels convolved with the encoded feature (Eq. 5), in the feature's precision."""
    logits = kernels.to(features.dtype) @ features.flatten(2)
    return logits.float().sigmoid().unflatten(2, features.shape[2:])


def semantic_labels(
    kernels: StuffKernels,
    features: Float[Tensor, "b d h4 w4"],
    sizes: Sizes,
    things_as_stuff: bool,
    form: Form,
    max_memory: int | None = None,
) -> Int[Tensor, "b H W"]:
    """The most probable semantic class of each pixel, 0: things; -1 beyond an image's own output.

    Probabilities are upsampled, not logits, and classes without a kernel are 0 everywhere; where all are 0
    the answer is 0, too.
    """
    wanted = kernels.kept.clone()
    if things_as_stuff:
        wanted[:, 0] = True  # first of all, for it wins where nothing is
    chosen = top_k_kept(wanted, form)
    there = kernels.kept.gather(1, chosen)
    weights = kernels.kernels.gather(1, chosen[..., None].expand(-1, -1, kernels.kernels.shape[2]))
    masks = make_masks(weights, features) * there[..., None, None]
    if not things_as_stuff:
        masks = torch.cat((torch.zeros_like(masks[:, :1]), masks), dim=1)
        chosen = torch.cat((torch.zeros_like(chosen[:, :1]), chosen + 1), dim=1)
    # the first column is for what lies beyond
    best = semantic_argmax(masks, sizes, form, max_memory)
    table = torch.cat((torch.full_like(chosen[:, :1], -1), chosen), dim=1).to(torch.int32)
    return by_table(table, best.add_(1) if form == "pruned" else best + 1, form)


def merge_panoptic_fcn(
    instances: SoftInstances,
    labels: Int[Tensor, "b H W"],
    sizes: Sizes,
    thing_categories: Int[Tensor, " t"],
    stuff_categories: Int[Tensor, " s"],
    rule: PriorityRule,
    form: Form,
    max_memory: int | None = None,
) -> PanopticBatch:
    """Things by falling score, then stuff; `labels` as `semantic_labels` gives them."""
    is_thing = is_thing_of(thing_categories, stuff_categories)
    # label 0 is "things", which no pixel becomes: void
    table = torch.cat((stuff_categories.new_full((1,), -1), stuff_categories)).to(torch.int32)
    masks = SoftMasks(
        instances.masks,
        instances.scores,
        thing_categories[instances.classes],
        instances.kept,
    )
    # what lies beyond an image is void, too
    labels = labels.clamp(min=0)
    if form == "pruned":
        named = renumber(table.expand(len(labels), -1), labels.to(torch.int32))
    else:
        named = table[labels.long()]
    return merge_by_priority(masks, named, sizes, is_thing, rule, form, max_memory=max_memory)


def is_thing_of(
    thing_categories: Int[Tensor, " t"], stuff_categories: Int[Tensor, " s"]
) -> Bool[Tensor, " c"]:
    """Of each category, whether it is a thing."""
    count = len(thing_categories) + len(stuff_categories)
    return (torch.arange(count, device=thing_categories.device)[:, None] == thing_categories).any(1)


def candidates_of(
    instances: SoftInstances,
    stuff: StuffKernels,
    features: Float[Tensor, "b d h4 w4"],
    things_as_stuff: bool,
    thing_categories: Int[Tensor, " t"],
    stuff_categories: Int[Tensor, " s"],
) -> Candidates:
    """Things and stuff side by side, for the argmax merge; the class for all things is left out."""
    first = int(things_as_stuff)
    kernels, kept, scores = (part[:, first:] for part in (stuff.kernels, stuff.kept, stuff.scores))
    masks = torch.cat((instances.masks, make_masks(kernels, features)), dim=1)
    categories = stuff_categories.expand(len(kept), -1)
    return Candidates(
        masks.logit(eps=1e-6),
        torch.cat((instances.scores, scores), dim=1),
        torch.cat((thing_categories[instances.classes], categories), dim=1),
        torch.cat((instances.kept, kept), dim=1),
    )
