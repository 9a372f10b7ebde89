"""From anchors to detections: scores first, then only what they leave is decoded and compared (Sec. 3.4)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging import Form, top_k_kept, top_k_sorted
from pansight.merging.numbers import Number
from pansight.models.epsnet.anchors import decode
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.nn.nms import bounded_suppress, overlaps_more, suppress

# The fixed form: entries that suppression looks at for each mask of the budget.
LOOKS = 16


class Detections(NamedTuple):
    """Things found, best first; rows that are not `kept` come last."""

    boxes: Float[Tensor, "b n 4"]
    """x1, y1, x2, y2 as shares of the input's sides, not clipped"""
    coefficients: Float[Tensor, "b n k"]
    classes: Int[Tensor, "b n"]
    """thing channel"""
    scores: Float[Tensor, "b n"]
    """0..1"""
    kept: Bool[Tensor, "b n"]
    overflow: Bool[Tensor, " b"] | None = None
    """where the limits of the fixed form may have changed the answer; None: pruned"""

    def rows(self, order: Int[Tensor, "b m"]) -> "Detections":
        """The same in another order, or a part of them."""
        wide = order[..., None]
        return Detections(
            self.boxes.gather(1, wide.expand(-1, -1, 4)),
            self.coefficients.gather(1, wide.expand(-1, -1, self.coefficients.shape[2])),
            self.classes.gather(1, order),
            self.scores.gather(1, order),
            self.kept.gather(1, order),
            self.overflow,
        )


@torch.no_grad()
def detect(
    outputs: EPSNetOutputs, config: EPSNetConfig, threshold: Number, form: Form, budget: int | None = None
) -> Detections:
    """The `detections` best boxes of all classes that suppression leaves.

    Entries (anchor and class) of a score up to `threshold` are left out before suppression, not after it:
    what suppresses scores higher than what it suppresses, so the answer is the same. At threshold 0 entries
    of all classes of an anchor take part, however small, as in the released code: there is no second test.
    Of equal scores the lower class, then the first anchor is better.

    The fixed form finds `budget` boxes at most, and suppression looks at LOOKS * budget entries.
    """
    probabilities = outputs.class_logits.float().softmax(2)[..., 1:]
    if probabilities.shape[2] == 0:
        return _none(outputs)
    best = probabilities.amax(2)
    above = (best > config.score_floor) & (best > threshold)
    if form == "fixed":
        return _detect_fixed(outputs, probabilities, above, config, threshold, budget)
    assert not isinstance(threshold, Tensor)
    return _detect_pruned(outputs, probabilities, above, config, threshold)


def _detect_pruned(
    outputs: EPSNetOutputs,
    probabilities: Float[Tensor, "b a t"],
    above: Bool[Tensor, "b a"],
    config: EPSNetConfig,
    threshold: float,
) -> Detections:
    """Class by class, of as many anchors and entries as the data have."""
    anchor = top_k_kept(above, "pruned")
    rows = anchor[..., None]
    scores = probabilities.gather(1, rows.expand(-1, -1, probabilities.shape[2])).transpose(1, 2)
    allowed = above.gather(1, anchor)
    passing = allowed[:, None] & (scores > threshold) if threshold > 0 else allowed[:, None].expand_as(scores)
    count = min(config.candidates_per_class, scores.shape[2])
    count = max(1, min(count, int(passing.sum(2).max())))
    order = _best(torch.where(passing, scores, -1.0), count)
    ranked, present = scores.gather(2, order), passing.gather(2, order)
    boxes = decode(outputs.boxes.float().gather(1, rows.expand(-1, -1, 4)), outputs.anchors[anchor])
    places = order.flatten(1)[..., None].expand(-1, -1, 4)
    candidates = boxes.gather(1, places)
    left = _suppressed(candidates.view(-1, count, 4), present.flatten(0, 1), config).view_as(present)
    kept = left.flatten(1)
    worth = torch.where(kept, ranked.flatten(1), -1.0)
    top = _best(worth, min(config.detections, worth.shape[1]))
    picked = anchor.gather(1, order.flatten(1).gather(1, top))
    return Detections(
        candidates.gather(1, top[..., None].expand(-1, -1, 4)),
        _rows(outputs.coefficients, picked).float(),
        top // count,
        worth.gather(1, top),
        kept.gather(1, top),
    )


def _detect_fixed(
    outputs: EPSNetOutputs,
    probabilities: Float[Tensor, "b a t"],
    above: Bool[Tensor, "b a"],
    config: EPSNetConfig,
    threshold: Number,
    budget: int | None,
) -> Detections:
    """The best entries of all classes together; boxes of one class alone suppress one another."""
    anchors = probabilities.shape[1]
    scores = probabilities.transpose(1, 2)
    passing = above[:, None] & ((scores > threshold) | (torch.zeros_like(scores) >= threshold))
    scores, passing = scores.flatten(1), passing.flatten(1)
    most = scores.shape[1]
    looks = most if budget is None else min(most, LOOKS * budget)
    order = top_k_sorted(scores, passing, looks)
    present, ranked = passing.gather(1, order), scores.gather(1, order)
    classes = order.div(anchors, rounding_mode="floor")
    anchor = order - classes * anchors
    coded = _rows(outputs.boxes, anchor).float()
    boxes = decode(coded, outputs.anchors[anchor])
    same = classes[:, :, None] == classes[:, None]
    ranks = torch.arange(looks, device=order.device)
    earlier = (same & (ranks[:, None] < ranks)).sum(1, dtype=torch.int32)
    present = present & (earlier < config.candidates_per_class)
    over = overlaps_more(boxes, config.nms_threshold) & same
    unsettled = torch.zeros_like(present[:, 0])
    if config.nms == "exact":
        kept, unsettled = bounded_suppress(over, present)
    else:
        kept = present & ~(over & present[:, :, None]).any(1)
    found = kept.sum(1, dtype=torch.int32)
    rows = min(config.detections, looks if budget is None else budget)
    unseen = (passing.sum(1, dtype=torch.int32) > looks) & (found < config.detections)
    top = top_k_kept(kept, "fixed", rows)
    return Detections(
        _rows(boxes, top),
        _rows(outputs.coefficients, anchor.gather(1, top)).float(),
        classes.gather(1, top),
        torch.where(kept, ranked, -1.0).gather(1, top),
        kept.gather(1, top),
        unseen | unsettled | (found.clamp(max=config.detections) > rows),
    )


def _rows(table: Float[Tensor, "b n c"], order: Int[Tensor, "b m"]) -> Float[Tensor, "b m c"]:
    return table.gather(1, order[..., None].expand(-1, -1, table.shape[2]))


def _best(scores: Float[Tensor, "*b n"], count: int) -> Int[Tensor, "*b m"]:
    """Places of the `count` highest scores (0..1, or -1 for none), best first; of equal ones the first."""
    # floats rank as their bits do (of the negative ones all are equal), and behind them stands the place
    bits = scores.contiguous().view(torch.int32).long() << 32
    places = torch.arange(scores.shape[-1], device=scores.device)
    return (bits - places).topk(count, dim=-1).indices


def _suppressed(
    boxes: Float[Tensor, "n k 4"], present: Bool[Tensor, "n k"], config: EPSNetConfig
) -> Bool[Tensor, "n k"]:
    """Which of each class's ranked boxes stay."""
    over = overlaps_more(boxes, config.nms_threshold)
    if config.nms == "exact":
        return suppress(over, present)
    # YOLACT's Fast NMS: a higher-ranked box suppresses, suppressed itself or not
    return present & ~(over & present[:, :, None]).any(1)


def _none(outputs: EPSNetOutputs) -> Detections:
    """What a model finds that knows no things."""
    boxes = outputs.anchors.new_zeros(len(outputs.boxes), 0, 4)
    coefficients = boxes.new_zeros(len(boxes), 0, outputs.coefficients.shape[2])
    scores = boxes[..., 0]
    nowhere = outputs.boxes.new_zeros(len(boxes), dtype=torch.bool)
    return Detections(boxes, coefficients, scores.long(), scores, scores.bool(), nowhere)
