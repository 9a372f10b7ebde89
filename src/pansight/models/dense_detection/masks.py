"""Masks from dense boxes (Eq. 2, 5-7): how probable it is that a cell is part of a query box's object.

That is the cell's probability of the query's class, times the agreement of the cell's own box with the query.
Agreement is at most 1, so only cells where the class itself reaches the threshold can be in a mask; all else
is never worked out in the pruned form.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Form
from pansight.merging.numbers import Number
from pansight.models.dense_detection.candidates import Queries
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.dense_boxes import PAIRS, boxes_of_levels, dense_boxes, dense_size
from pansight.models.dense_detection.outputs import DenseOutputs
from pansight.nn.losses import at_least_float32

# Pairs of query and cell that are worked on at a time.
CHUNK = 1 << 16
# Room for rounding, relative to the threshold: of the agreement, which may come out a little above 1, and of
# interpolation.
SLACK = 1e-5


def class_probability(outputs: DenseOutputs) -> Float[Tensor, "b p n"]:
    """Semantic probability of all categories at the cells of the dense box map, row by row (Eq. 2)."""
    logits = F.interpolate(
        at_least_float32(outputs.semantic_logits),
        size=dense_size(outputs),
        mode="bilinear",
        align_corners=False,
    )
    # categories last, as released: softmax rounds otherwise across other axes
    return logits.flatten(2).transpose(1, 2).contiguous().softmax(2)


@torch.no_grad()
def soft_masks(
    outputs: DenseOutputs,
    queries: Queries,
    thing_indices: Int[Tensor, " t"],
    config: DenseDetectionConfig,
    threshold: Number,
    form: Form,
    reach: int = 1,
) -> Float[Tensor, "b k h4 w4"]:
    """Probability times agreement (Eq. 7), on the grid of the dense box map; -1..1.

    In the pruned form exact wherever it matters: cells that no upsampled pixel of at least `threshold` can
    depend on are 0, as are queries not kept. `reach` says how far apart cells may be
    that are mixed into one pixel: 1 for a bilinear upsampling, 2 for another resize after it.
    """
    boxes = dense_boxes(outputs)[None] if outputs.levelness is not None else boxes_of_levels(outputs)
    probability = class_probability(outputs).index_select(2, thing_indices)
    height, width = dense_size(outputs)
    if form == "pruned":
        active = _active(probability, (height, width), threshold * (1 - SLACK), reach)
        soft = _where_active(boxes, probability, queries, active, config)
    else:
        soft = _everywhere(boxes, probability, queries, config)
    return soft.unflatten(2, (height, width))


def _everywhere(
    boxes: Float[Tensor, "l b p 4"],
    probability: Float[Tensor, "b p t"],
    queries: Queries,
    config: DenseDetectionConfig,
) -> Float[Tensor, "b k p"]:
    """Fixed shapes; compilers fuse the pair function into one pass."""
    agreement = PAIRS[config.location_probability]
    best = torch.stack([agreement(queries.boxes[:, :, None], level[:, None]) for level in boxes]).amax(0)
    columns = queries.classes[..., None].expand(-1, -1, probability.shape[1])
    return best * probability.transpose(1, 2).gather(1, columns) * queries.kept[..., None]


def _where_active(
    boxes: Float[Tensor, "l b p 4"],
    probability: Float[Tensor, "b p t"],
    queries: Queries,
    active: Bool[Tensor, "b t p"],
    config: DenseDetectionConfig,
) -> Float[Tensor, "b k p"]:
    """The same, worked out only for pairs of a query and an active cell of its class."""
    batch, cells, things = probability.shape
    count = queries.kept.shape[1]
    # active cells by image and class, and where those of each begin
    _, cell = active.flatten(0, 1).nonzero(as_tuple=True)
    numbers = active.sum(2).flatten()
    begin = numbers.cumsum(0) - numbers
    # every kept query meets all active cells of its class
    query = queries.kept.flatten().nonzero()[:, 0]
    picture = query // count
    row = picture * things + queries.classes.flatten()[query]
    meets = numbers[row]
    soft = probability.new_zeros(batch * count * cells)
    if not len(query) or not int(meets.sum()):
        return soft.view(batch, count, cells)
    pair = torch.repeat_interleave(torch.arange(len(query)), meets)
    place = torch.arange(len(pair)) - (meets.cumsum(0) - meets - begin[row])[pair]
    cell = cell[place]

    # coordinates apart, so that each is one stretch of memory
    flat = boxes.flatten(1, 2).movedim(2, 1).contiguous()
    chosen = queries.boxes.flatten(0, 1)[query].T.contiguous()
    table = probability.flatten()
    agreement = PAIRS[config.location_probability]
    for part, where in zip(pair.split(CHUNK), cell.split(CHUNK), strict=True):
        of = picture[part]
        mine = chosen.index_select(1, part).T
        theirs = flat.index_select(2, of * cells + where).movedim(1, 2)
        best = agreement(mine, theirs).amax(0)
        column = table.index_select(0, (of * cells + where) * things + (row[part] - of * things))
        soft.index_copy_(0, query[part] * cells + where, best * column)
    return soft.view(batch, count, cells)


def _active(
    probability: Float[Tensor, "b p t"], size: tuple[int, int], least: Number, reach: int
) -> Bool[Tensor, "b t p"]:
    """Cells that reach `least`, or that are mixed with one that does."""
    near = (probability >= least).transpose(1, 2).unflatten(2, size).contiguous().view(torch.uint8)
    for _ in range(reach):
        rows = F.pad(near, (0, 0, 1, 1))
        rows = rows[:, :, :-2] | rows[:, :, 1:-1] | rows[:, :, 2:]
        near = F.pad(rows, (1, 1))
        near = near[..., :-2] | near[..., 1:-1] | near[..., 2:]
    return near.bool().flatten(2)
