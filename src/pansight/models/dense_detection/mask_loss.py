"""The explicit mask loss (Sec. 4.2, Eq. 16-18): dense boxes should agree with the query of their own thing.

All on the grid of quarter size, as at inference, between the present query boxes and the dense box map.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pansight.models.dense_detection.candidates import Queries
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.dense_boxes import dense_boxes, pair_giou, pair_iou
from pansight.models.dense_detection.masks import class_probability
from pansight.models.dense_detection.outputs import DenseOutputs
from pansight.models.dense_detection.targets import IGNORED, CellTarget, Things


def query_owners(
    queries: Queries, levels: list[CellTarget]
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """The thing that each query's own cell is to find, and whether there is one: others are left out."""
    owners = torch.stack([truth.owners for truth in levels]).gather(1, queries.locations)
    return owners, queries.kept & (owners >= 0)


def mask_loss(
    outputs: DenseOutputs,
    queries: Queries,
    channels: Int[Tensor, " n"],
    things: list[Things],
    levels: list[CellTarget],
    dense: list[CellTarget],
    config: DenseDetectionConfig,
) -> Float[Tensor, ""]:
    """Mean over all queries of the batch that sit on a thing (Eq. 16); 0 if there is none.

    `channels` gives each category's thing channel, -1 for stuff. Query boxes and their weight, the IoU with
    the thing's own box, are constants: gradients reach the dense boxes alone (and with `giou_sem` the
    semantics). Ignored cells count nowhere.
    """
    boxes = dense_boxes(outputs)
    owners, wanted = query_owners(queries, levels)
    probability = None
    if config.mask_loss_score == "giou_sem":
        probability = class_probability(outputs).transpose(1, 2)[:, channels >= 0]
    terms = []
    # the host asks once for the whole batch how many queries count in each image; their masks are worked out
    # image by image, for all at once would need every image's cells for every query
    order = wanted.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    for picture, number in enumerate(wanted.sum(1).tolist()):
        if not number:
            continue
        rows = order[picture, :number]
        owner = owners[picture][rows]
        query = queries.boxes[picture][rows]
        weight = pair_iou(query, things[picture].boxes[owner])
        cells = dense[picture].owners
        inside = cells == owner[:, None]
        # an instance a few pixels thin can own no cell of the grid
        weight = weight / inside.sum(1).clamp(min=1)
        column = None if probability is None else probability[picture][queries.classes[picture][rows]]
        terms.append(_disagreement(boxes[picture], query, column, inside, cells != IGNORED) * weight)
    if not terms:
        return boxes.sum() * 0  # keeps the graph, so that every process has gradients
    return torch.cat(terms).mean()


def _disagreement(
    boxes: Float[Tensor, "p 4"],
    queries: Float[Tensor, "k 4"],
    probability: Float[Tensor, "k p"] | None,
    inside: Bool[Tensor, "k p"],
    valid: Bool[Tensor, " p"],
) -> Float[Tensor, " k"]:
    """E_FP + E_FN of each query (Eq. 17, 18): agreement outside its thing, lack of it inside."""
    # + outside, - inside, so that only the pair function is worked out anew for the gradient
    signs = torch.where(inside, -1.0, 1.0) * valid
    agreement = checkpoint(_agreement, boxes, queries, probability, signs, use_reentrant=False)
    return agreement + (inside & valid).sum(1)


def _agreement(
    boxes: Float[Tensor, "p 4"],
    queries: Float[Tensor, "k 4"],
    probability: Float[Tensor, "k p"] | None,
    signs: Float[Tensor, "k p"],
) -> Float[Tensor, " k"]:
    if probability is None:
        return (pair_iou(queries[:, None], boxes) * signs).sum(1)
    return (pair_giou(queries[:, None], boxes) * probability * signs).sum(1)
