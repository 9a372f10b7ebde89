"""Instances at the images' own size, with boxes: what mask AP is measured on."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.numbers import Number
from pansight.merging.room import Room
from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import interpolated
from pansight.models.panoptic_fcn.merge import SoftInstances
from pansight.nn.boxes import boxes_of


class InstanceMasks(NamedTuple):
    """One image's instances, best first; masks may overlap."""

    masks: Bool[Tensor, "n H W"]
    boxes: Float[Tensor, "n 4"]
    """x1, y1, x2, y2 in pixels, x2 and y2 one beyond the last; zeros where the mask is empty"""
    categories: Int[Tensor, " n"]
    """contiguous indices"""
    scores: Float[Tensor, " n"]
    """0..1"""


def cut_instances(
    instances: SoftInstances, sizes: Sizes, thing_categories: Int[Tensor, " t"], threshold: Number
) -> list[InstanceMasks]:
    """Upsample probabilities to each image's output, twice as the released code does, and cut them.

    The one loop over images between network and result, and it reads each one's number of instances from
    the device: images differ in output size and in how many masks they get, and the lists are on their way
    to an evaluation on the host anyway. `PanopticFCN.merge` has no part in it.
    """
    results = []
    for picture, (valid, output) in enumerate(zip(sizes.valid, sizes.output, strict=True)):
        kept = instances.kept[picture]
        masks = torch.empty(int(kept.sum()), *output, dtype=torch.bool, device=kept.device)
        # few at a time: upsampled masks are large
        pixels = max(sizes.padded[0] * sizes.padded[1], output[0] * output[1])
        part = max(1, Room().semantics // pixels)
        parts = zip(instances.masks[picture][kept].split(part), masks.split(part), strict=True)
        for some, to in parts if len(masks) else ():
            to.copy_(interpolated(some[None], sizes.padded, valid, output)[0] > threshold)
        classes = thing_categories[instances.classes[picture][kept]]
        results.append(InstanceMasks(masks, boxes_of(masks), classes, instances.scores[picture][kept]))
    return results
