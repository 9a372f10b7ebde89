"""From the network's maps to panoptic maps: query boxes, their masks, priority merge."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pansight.merging import Form, PriorityRule, SoftMasks, merge_by_priority, top_k_kept
from pansight.merging.room import renumber
from pansight.merging.semantics import semantic_argmax
from pansight.merging.sizes import Sizes
from pansight.models.dense_detection.candidates import best_queries, find_queries
from pansight.models.dense_detection.config import DenseDetectionConfig, DenseMergeSettings
from pansight.models.dense_detection.dense_boxes import dense_size
from pansight.models.dense_detection.masks import soft_masks
from pansight.models.dense_detection.outputs import DENSE_STRIDE, DenseOutputs
from pansight.panoptic import PanopticBatch


@torch.no_grad()
def merge_dense(
    outputs: DenseOutputs,
    sizes: Sizes,
    config: DenseDetectionConfig,
    settings: DenseMergeSettings,
    is_thing: Bool[Tensor, " n"],
    form: Form,
) -> PanopticBatch:
    """Query boxes that score at least `object_threshold` become masks, merged by falling score.

    The released code ends at masks and semantic logits; the merge is Panoptic FPN's (`merge_by_priority`).
    Stuff is the best category of the semantic logits; a pixel whose best is a thing's, without a mask there,
    is void, or with `fill_stuff` its best stuff category.

    Returns maps with rows for `detections` things and all categories, or more if more tie at the limit.
    """
    thing_indices, stuff_indices = things_and_stuff(is_thing, outputs.class_logits[0].shape[1])
    least, budget, memory = settings.object_threshold, settings.budget, settings.max_memory
    overflow = None
    if form == "pruned":
        queries = find_queries(outputs, sizes, config, form)
        queries = queries._replace(kept=queries.kept & (queries.scores >= least))
        queries = queries.rows(top_k_kept(queries.kept, form))
    else:
        queries, overflow = best_queries(outputs, sizes, config, least, budget)
    masks = SoftMasks(
        soft_masks(
            outputs,
            queries,
            thing_indices,
            config,
            settings.mask_threshold,
            form,
            reach=1 if form == "fixed" or sizes.valid == sizes.output else 2,
        ),
        queries.scores,
        thing_indices[queries.classes],
        queries.kept,
    )
    upsampled = upsampled_sizes(outputs, sizes)
    semantics = _semantics(outputs, upsampled, stuff_indices if config.fill_stuff else None, form, memory)
    rule = PriorityRule(settings.mask_threshold, True, settings.max_occlusion, settings.stuff_area)
    rows = config.detections + len(is_thing)
    merged = merge_by_priority(
        masks, semantics, upsampled, is_thing, rule, form, rows=rows, max_memory=memory
    )
    return merged if overflow is None else merged._replace(overflow=overflow)


def things_and_stuff(
    is_thing: Bool[Tensor, " n"], things: int
) -> tuple[Int[Tensor, " t"], Int[Tensor, " s"]]:
    """Category indices of the things, of which there are `things`, and of the rest, both rising."""
    order = top_k_kept(is_thing[None], "fixed")[0]
    return order[:things], order[things:]


def upsampled_sizes(outputs: DenseOutputs, sizes: Sizes) -> Sizes:
    """Sizes for maps of the network: upsampled they end at or beyond the padded input."""
    height, width = dense_size(outputs)
    return sizes._replace(padded=(DENSE_STRIDE * height, DENSE_STRIDE * width))


def _semantics(
    outputs: DenseOutputs, sizes: Sizes, among: Int[Tensor, " s"] | None, form: Form, memory: int | None
) -> Int[Tensor, "b h w"]:
    """Best category of each pixel, of all or of some; -1 beyond an image."""
    if among is None:
        return semantic_argmax(outputs.semantic_logits, sizes, form, memory)
    if not len(among):
        return torch.full_like(semantic_argmax(outputs.semantic_logits[:, :1], sizes, form, memory), -1)
    best = semantic_argmax(outputs.semantic_logits.index_select(1, among), sizes, form, memory)
    if form == "pruned":
        table = torch.cat((among.new_full((1,), -1), among)).int()
        return renumber(table.expand(len(best), -1), best.add_(1))
    return torch.where(best < 0, best, among[best.clamp(min=0)].int())
