"""Query boxes (Eq. 4): the boxes that survive non-maximum suppression, each of which becomes a mask."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging import Form, top_k_in_place, top_k_kept, top_k_sorted
from pansight.merging.numbers import Number
from pansight.merging.sizes import Sizes
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.outputs import STRIDES, DenseOutputs
from pansight.nn.nms import bounded_suppress, overlaps_more, suppress

# Candidates that suppression looks at first: the best 100 are nearly always among them.
FIRST_LOOK = 512
# The fixed form: candidates that suppression looks at for each mask of the budget.
LOOKS = 16


class Queries(NamedTuple):
    """Boxes of b images, one row per box, those that are `kept` first; other rows hold anything."""

    boxes: Float[Tensor, "b k 4"]
    """x1, y1, x2, y2 in pixels of the network's input, clipped to the image (to 0..width - 1)"""
    scores: Float[Tensor, "b k"]
    """class probability times centerness, 0..1, falling"""
    classes: Int[Tensor, "b k"]
    """channel of `DenseOutputs.class_logits`"""
    locations: Int[Tensor, "b k"]
    """cell that predicted the box: its row-major number on its level, plus the cells of all finer levels"""
    kept: Bool[Tensor, "b k"]

    def rows(self, index: Int[Tensor, "b m"]) -> "Queries":
        """These rows of each image."""
        boxes = self.boxes.gather(1, index[..., None].expand(-1, -1, 4))
        return Queries(boxes, *(column.gather(1, index) for column in self[1:]))

    def first(self, count: int) -> "Queries":
        """The first rows of each image."""
        return Queries(*(column[:, :count] for column in self))


@torch.no_grad()
def find_queries(outputs: DenseOutputs, sizes: Sizes, config: DenseDetectionConfig, form: Form) -> Queries:
    """Candidates of all levels, thinned class by class, then across classes, then to the best (Sec. 3.2).

    Boxes rank by score; equal scores by class, then by location, as in the released code. Of these, a box is
    dropped for a better one of its class with IoU above `nms_threshold`, then for a better one of any class
    above `duplicate_threshold` (two classes of one location give the same box twice). `detections` limits
    what is left, but boxes that score as the last one stay too. In the fixed form there are just `detections`
    rows, and of boxes that tie with the last one the first stay.

    Gradients do not pass. Image sizes are `sizes.valid`; a batch without any candidate has one row, not
    kept.
    """
    if form == "fixed":
        return best_queries(outputs, sizes, config, 0.0, None)[0]
    candidates = level_candidates(outputs, sizes, config, form)
    ranked = _ranked(joined(candidates))
    # what survives among the best does not depend on the others
    count = max(1, ranked.kept.shape[1])
    ranked = _at_least_one_row(ranked)
    look = min(count, max(FIRST_LOOK, 2 * config.detections))
    while True:
        part = ranked.first(look)
        kept = _within(part.scores, _survivors(part, config), config.detections)
        if look == count or _complete(part, kept, config.detections):
            part = part._replace(kept=kept)
            return part.rows(top_k_kept(part.kept, form))
        look = min(count, 2 * look)


@torch.no_grad()
def best_queries(
    outputs: DenseOutputs, sizes: Sizes, config: DenseDetectionConfig, least: Number, budget: int | None
) -> tuple[Queries, Bool[Tensor, " b"]]:
    """The fixed form: query boxes that score at least `least`, `budget` of them at most; where it had more.

    What scores less suppresses nothing that scores more, so it is left out from the start, and suppression
    looks at no more than LOOKS * budget candidates. The flag is true only where these limits, or that of
    suppression's rounds, may have changed the answer.
    """
    looks = None if budget is None else LOOKS * budget
    candidates = joined(level_candidates(outputs, sizes, config, "fixed", least, looks))
    passing = candidates.kept.sum(1, dtype=torch.int32)
    count = candidates.kept.shape[1]
    looks = count if looks is None else min(looks, count)
    total = sum(min(level[0].numel(), config.candidates_per_level) for level in outputs.class_logits)
    by_class = candidates.classes.to(torch.float32).sort(dim=1, stable=True).indices
    candidates = candidates.rows(by_class)
    ranked = candidates.rows(top_k_sorted(candidates.scores, candidates.kept, looks))
    same = ranked.classes[:, :, None] == ranked.classes[:, None]
    kept, first = bounded_suppress(overlaps_more(ranked.boxes, config.nms_threshold) & same, ranked.kept)
    kept, second = bounded_suppress(overlaps_more(ranked.boxes, config.duplicate_threshold), kept)
    found = kept.sum(1, dtype=torch.int32)
    rows = config.detections if budget is None else min(budget, config.detections)
    queries = ranked._replace(kept=kept)
    queries = queries.rows(top_k_kept(kept, "fixed", rows))
    # levels were cut at as many, too
    unseen = (passing >= looks) & (found < config.detections) if looks < total else torch.zeros_like(first)
    return queries, unseen | first | second | (found.clamp(max=config.detections) > rows)


def joined(levels: list[Queries]) -> Queries:
    """Candidates of all levels in one table."""
    return Queries(*(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True)))


def level_candidates(
    outputs: DenseOutputs,
    sizes: Sizes,
    config: DenseDetectionConfig,
    form: Form,
    least: Number = 0.0,
    looks: int | None = None,
) -> list[Queries]:
    """Per level, pairs of location and class of a probability above `score_threshold` (strictly).

    The best `candidates_per_level` of them by score (of equal ones the first), in row-major order (location,
    then class), rows that are not kept last. In the fixed form those that score less than `least` are not
    kept, either, and there are `looks` rows at most.
    """
    most = config.candidates_per_level if looks is None else min(looks, config.candidates_per_level)
    limits = sizes.valid_on(outputs.semantic_logits.device)
    levels, first = [], 0
    for stride, *maps in zip(STRIDES, *outputs[:3], strict=True):
        classes, centerness, offsets = maps
        level = _candidates_of_level(
            classes, centerness, offsets, stride, first, limits, config, form, least, most
        )
        levels.append(level)
        first += centerness[0, 0].numel()
    return levels


def _candidates_of_level(
    class_logits: Float[Tensor, "b t h w"],
    centerness: Float[Tensor, "b 1 h w"],
    offsets: Float[Tensor, "b 4 h w"],
    stride: int,
    first: int,
    limits: Int[Tensor, "_ 2"],
    config: DenseDetectionConfig,
    form: Form,
    least: Number,
    most: int,
) -> Queries:
    """`first` is the number of cells on finer levels."""
    _, things, _, width = class_logits.shape
    probabilities = class_logits.float().permute(0, 2, 3, 1).flatten(1, 2).sigmoid()
    scores = probabilities * centerness.float().flatten(1).sigmoid()[..., None]
    passing = (probabilities > config.score_threshold).flatten(1)
    scores = scores.flatten(1)
    if form == "pruned":
        chosen = _best(scores, passing, most)
    else:
        passing = passing & (scores >= least)
        chosen = top_k_in_place(torch.where(passing, scores, -1.0), most)
    kept = passing.gather(1, chosen)
    cell = chosen // things
    centre = torch.stack((cell % width, cell.div(width, rounding_mode="floor")), dim=2) * stride + stride // 2
    reach = offsets.float().flatten(2).gather(2, cell[:, None].expand(-1, 4, -1)).transpose(1, 2)
    corners = torch.cat((centre - reach[..., :2], centre + reach[..., 2:]), dim=2)
    # the last pixel is the farthest corner
    farthest = (limits.flip(1) - 1).repeat(1, 2)[:, None].to(corners.dtype)
    boxes = torch.minimum(corners.clamp(min=0), farthest)
    return Queries(boxes, scores.gather(1, chosen), chosen % things, cell + first, kept)


def _best(scores: Float[Tensor, "b n"], passing: Bool[Tensor, "b n"], limit: int) -> Int[Tensor, "b k"]:
    """Places of the best passing scores, in rising order; of equal ones the first are better."""
    count = scores.shape[1]
    rows = min(limit, int(passing.sum(1).max()))
    # positive floats rank as their bits do; below them stands the place, so that no two are equal
    bits = scores.contiguous().view(torch.int32).long() << 32
    places = torch.arange(count, device=scores.device)
    best = torch.where(passing, bits - places, -(1 << 62) - places).topk(rows, dim=1).indices
    order = torch.where(passing.gather(1, best), best, best + count).argsort(dim=1)
    return best.gather(1, order)


def _ranked(queries: Queries) -> Queries:
    """Best first; equal scores by class, then in the order they have; those not kept last."""
    by_class = queries.rows(queries.classes.argsort(dim=1, stable=True))
    scores = torch.where(by_class.kept, by_class.scores, -1.0)
    return by_class.rows(scores.argsort(dim=1, descending=True, stable=True))


def _survivors(ranked: Queries, config: DenseDetectionConfig) -> Bool[Tensor, "b n"]:
    """Which boxes pass both suppressions."""
    same = ranked.classes[:, :, None] == ranked.classes[:, None]
    kept = suppress(overlaps_more(ranked.boxes, config.nms_threshold) & same, ranked.kept)
    return suppress(overlaps_more(ranked.boxes, config.duplicate_threshold), kept)


def _within(scores: Float[Tensor, "b n"], kept: Bool[Tensor, "b n"], detections: int) -> Bool[Tensor, "b n"]:
    """Of those kept, the first `detections` and all that score as the last of them."""
    last = kept & (kept.cumsum(1) == detections)
    least = torch.where(last, scores, -1.0).amax(1, keepdim=True)
    return kept & (scores >= least)


def _complete(part: Queries, kept: Bool[Tensor, "b n"], detections: int) -> bool:
    """Whether no candidate beyond this part can be kept: enough are, and all the rest score less."""
    full = kept.sum(1) >= detections
    least = torch.where(kept, part.scores, 2.0).amin(1)
    ended = full & (part.scores[:, -1] < least) | ~part.kept[:, -1]
    return bool(ended.all())


def _at_least_one_row(queries: Queries) -> Queries:
    if queries.kept.shape[1]:
        return queries
    return Queries(*(part.new_zeros(part.shape[0], 1, *part.shape[2:]) for part in queries))
