"""Which anchor is to find which object, as in SSD and YOLACT."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.models.base import Target
from pansight.models.epsnet.anchors import corners
from pansight.models.epsnet.config import EPSNetConfig
from pansight.nn.boxes import boxes_of
from pansight.nn.nms import pairwise_iou

UNLABELLED = 0
NEUTRAL = -1
CERTAIN = 2.0
"""above any IoU: the anchor that fits an object best is made to find it"""


class Open(NamedTuple):
    """Unlabelled ground of an image, and the channels that are certainly not there."""

    ground: Bool[Tensor, "h w"]
    things: Bool[Tensor, " t"]
    semantics: Bool[Tensor, " s"]


class EPSNetTruth(NamedTuple):
    """One image's annotation in the method's terms."""

    boxes: Float[Tensor, "n 4"]
    """x1, y1, x2, y2 of single objects, as shares of the input's sides"""
    labels: Int[Tensor, " n"]
    """thing channel"""
    masks: Bool[Tensor, "n h w"]
    crowds: Float[Tensor, "c 4"]
    semantics: Int[Tensor, "h w"]
    """channel of the semantic map: 0 where nothing is labelled, the last on all things"""
    open: Open | None = None
    """None where everything is labelled"""


class Matching(NamedTuple):
    """What each anchor is to say."""

    labels: Int[Tensor, " a"]
    """1 + thing channel; 0: background; NEUTRAL: anything"""
    objects: Int[Tensor, " a"]
    """the object that fits it best"""
    open: Bool[Tensor, " a"] | None = None
    """background that lies mostly on unlabelled ground: only the complete things are certainly not there"""


def truth_of(
    target: Target, thing_channels: Int[Tensor, " c"], stuff_channels: Int[Tensor, " c"]
) -> EPSNetTruth:
    """The annotation; channels are by category, -1: none. In `stuff_channels` things have that of 'other'."""
    height, width = target.masks.shape[1:]
    things = thing_channels[target.categories]
    there = target.masks.flatten(1).any(1) & (things >= 0)
    single, crowd = there & ~target.crowd, there & target.crowd
    semantics = torch.zeros(height, width, dtype=torch.int64, device=target.masks.device)
    if len(target.masks):
        # small integers: there is one per pixel and segment
        channels = stuff_channels[target.categories].to(torch.int16)[:, None, None]
        # masks never overlap: the largest of what covers a pixel is all there is
        semantics = torch.where(target.masks, channels, UNLABELLED).amax(0).long()
    return EPSNetTruth(
        _shares(target.masks[single]),
        things[single],
        target.masks[single],
        _shares(target.masks[crowd]),
        semantics,
        _open(target, thing_channels, stuff_channels),
    )


def _open(
    target: Target, thing_channels: Int[Tensor, " c"], stuff_channels: Int[Tensor, " c"]
) -> Open | None:
    if not target.partial:
        return None
    impossible = target.impossible(len(thing_channels))
    # the semantic map has "other" last, for all things
    counts = int(thing_channels.max()) + 1, int(stuff_channels.max()) + 1
    absent = []
    for table, count in zip((thing_channels, stuff_channels), counts, strict=True):
        present = torch.zeros(count, dtype=torch.bool, device=impossible.device)
        present[table[(table >= 0) & ~impossible]] = True
        absent.append(~present)
    return Open(target.unknown(), *absent)


def _shares(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """Boxes as shares of the sides."""
    height, width = masks.shape[1:]
    return boxes_of(masks) / torch.tensor((width, height, width, height), device=masks.device)


@torch.no_grad()
def match(truth: EPSNetTruth, anchors: Float[Tensor, "a 4"], config: EPSNetConfig) -> Matching:
    """Objects for anchors by IoU; every object gets the anchor that fits it best.

    Of objects that share their best anchor the last one has it. Anchors on a group, most of whose area is
    the group's, are neutral unless they are to find something.
    """
    boxes = corners(anchors)
    if not len(truth.boxes):
        labels = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
        objects = torch.zeros_like(labels)
    else:
        overlaps = pairwise_iou(truth.boxes[None], boxes[None])[0]
        best, objects = overlaps.max(0)
        owned = overlaps.argmax(1)
        numbers = torch.arange(len(owned), device=owned.device)
        forced = torch.full_like(objects, -1).scatter_reduce(0, owned, numbers, "amax")
        objects = torch.where(forced >= 0, forced, objects)
        best = torch.where(forced >= 0, CERTAIN, best)
        labels = truth.labels[objects] + 1
        labels = torch.where(best < config.positive_iou, NEUTRAL, labels)
        labels = torch.where(best < config.negative_iou, 0, labels)
    if len(truth.crowds):
        covered = _share_within(boxes, truth.crowds).amax(1) > config.crowd_iou
        labels = torch.where((labels <= 0) & covered, NEUTRAL, labels)
    if truth.open is None:
        return Matching(labels, objects)
    return Matching(labels, objects, (labels == 0) & (_share_of(boxes, truth.open.ground) > 0.5))


def _share_of(boxes: Float[Tensor, "a 4"], ground: Bool[Tensor, "h w"]) -> Float[Tensor, " a"]:
    """Share of each box (as shares of the sides, cut at the borders) that is unlabelled ground."""
    height, width = ground.shape
    sums = F.pad(ground.float().cumsum(0).cumsum(1), (1, 0, 1, 0))
    sides = torch.tensor((width, height, width, height), device=boxes.device)
    x1, y1, x2, y2 = (boxes.clamp(0, 1) * sides).round().long().unbind(1)
    inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return inside / ((x2 - x1) * (y2 - y1)).clamp(min=1)


def _share_within(boxes: Float[Tensor, "a 4"], crowds: Float[Tensor, "c 4"]) -> Float[Tensor, "a c"]:
    """Share of each box's area that lies in each crowd's."""
    high = torch.minimum(boxes[:, None, 2:], crowds[:, 2:])
    low = torch.maximum(boxes[:, None, :2], crowds[:, :2])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (high - low).clamp(min=0).prod(2) / areas[:, None]
