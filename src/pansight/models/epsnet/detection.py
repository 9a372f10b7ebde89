"""From anchors to detections: scores first, then only what they leave is decoded and compared (Sec. 3.4)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging import Form, keep_first
from pansight.models.epsnet.anchors import decode
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.nn.nms import overlaps_more, suppress


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

    def rows(self, order: Int[Tensor, "b m"]) -> "Detections":
        """The same in another order, or a part of them."""
        wide = order[..., None]
        return Detections(
            self.boxes.gather(1, wide.expand(-1, -1, 4)),
            self.coefficients.gather(1, wide.expand(-1, -1, self.coefficients.shape[2])),
            *(column.gather(1, order) for column in self[2:]),
        )


@torch.no_grad()
def detect(outputs: EPSNetOutputs, config: EPSNetConfig, threshold: float, form: Form) -> Detections:
    """The `detections` best boxes of all classes that suppression leaves.

    Entries (anchor and class) of a score up to `threshold` are left out before suppression, not after it:
    what suppresses scores higher than what it suppresses, so the answer is the same. At threshold 0 entries
    of all classes of an anchor take part, however small, as in the released code: there is no second test.
    Of equal scores the lower class, then the first anchor is better.
    """
    probabilities = outputs.class_logits.float().softmax(2)[..., 1:]
    things = probabilities.shape[2]
    if things == 0:
        return _none(outputs)
    best = probabilities.amax(2)
    above = (best > config.score_floor) & (best > threshold)
    anchor = keep_first(above, form) if form == "pruned" else _all_anchors(above)
    rows = anchor[..., None]
    scores = probabilities.gather(1, rows.expand(-1, -1, things)).transpose(1, 2)
    allowed = above.gather(1, anchor)
    passing = allowed[:, None] & (scores > threshold) if threshold > 0 else allowed[:, None].expand_as(scores)
    count = min(config.candidates_per_class, scores.shape[2])
    if form == "pruned":
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
    coefficients = outputs.coefficients.gather(
        1, picked[..., None].expand(-1, -1, outputs.coefficients.shape[2])
    )
    return Detections(
        candidates.gather(1, top[..., None].expand(-1, -1, 4)),
        coefficients.float(),
        top // count,
        worth.gather(1, top),
        kept.gather(1, top),
    )


def _all_anchors(above: Bool[Tensor, "b a"]) -> Int[Tensor, "b a"]:
    return torch.arange(above.shape[1], device=above.device).expand_as(above)


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
    # YOLACT's Fast NMS: whoever ranks higher suppresses, suppressed or not
    return present & ~(over & present[:, :, None]).any(1)


def _none(outputs: EPSNetOutputs) -> Detections:
    """What a model finds that knows no things."""
    boxes = outputs.anchors.new_zeros(len(outputs.boxes), 0, 4)
    coefficients = boxes.new_zeros(len(boxes), 0, outputs.coefficients.shape[2])
    scores = boxes[..., 0]
    return Detections(boxes, coefficients, scores.long(), scores, scores.bool())
