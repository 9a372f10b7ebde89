"""Measures over the processes of torch.distributed, one per GPU or one per machine."""

import copy
from typing import Any, overload

import torch.distributed as dist

from pansight.errors import CategoryError
from pansight.metrics.evaluation import Evaluation
from pansight.metrics.panoptic_quality import PanopticQuality


@overload
def all_reduce(quality: PanopticQuality, group: "dist.ProcessGroup | None" = None) -> PanopticQuality: ...
@overload
def all_reduce(quality: Evaluation, group: "dist.ProcessGroup | None" = None) -> Evaluation: ...
def all_reduce(
    quality: PanopticQuality | Evaluation, group: "dist.ProcessGroup | None" = None
) -> PanopticQuality | Evaluation:
    """What all processes of the group have seen together; every process gets it, equal to the last bit.

    Takes a `PanopticQuality` or a whole `Evaluation`, whose measures are each what one process would find
    that had seen all images, in the order of the processes. `quality` itself is left as it is, so this may be
    called again after more images. Every process of the group must call it, even one that has seen no image.
    A few kilobytes travel, whatever the number of images. Without torch.distributed, or before it is
    initialised, it is a copy of `quality`.

    Let each image be seen by one process: a sampler that repeats some, to give all processes equally many,
    makes them count twice.

    Raises CategoryError, in every process, when the categories or modes differ.
    """
    if isinstance(quality, Evaluation):
        return _whole(quality, group)
    own: dict[str, Any] = {
        "name": quality.categories.name,
        "classes": list(zip(quality.categories.names, quality.categories.is_thing.tolist(), strict=True)),
        "state": quality.state(),
    }
    shares: list[Any] = [own]
    if dist.is_available() and dist.is_initialized():
        shares = [None] * dist.get_world_size(group)
        dist.all_gather_object(shares, own, group=group)
    first = shares[0]
    for rank, share in enumerate(shares):
        if share["classes"] != first["classes"] or share["state"]["exact"] != first["state"]["exact"]:
            raise CategoryError(
                f"process {rank} evaluates {share['name']} (exact={share['state']['exact']}), process 0 "
                f"{first['name']} (exact={first['state']['exact']}); make both alike"
            )
    whole = PanopticQuality(quality.categories, exact=quality.exact)
    for share in shares:
        whole.merge(PanopticQuality.from_state(quality.categories, share["state"]))
    return whole


def _whole(evaluation: Evaluation, group: "dist.ProcessGroup | None") -> Evaluation:
    parts: list[Any] = [evaluation]
    if dist.is_available() and dist.is_initialized():
        parts = [None] * dist.get_world_size(group)
        dist.all_gather_object(parts, evaluation, group=group)
    whole = copy.deepcopy(parts[0])
    for part in parts[1:]:
        whole.merge(part)
    return whole
