"""Kernel fusion (Sec. 3.3): kernels of one object, or of one class of stuff, become one."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Form, top_k_kept
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.heads import Embedding
from pansight.models.panoptic_fcn.positions import Peaks, Regions


class ThingKernels(NamedTuple):
    """One kernel an object, best first; rows that are not `kept` come last."""

    kernels: Float[Tensor, "b n d"]
    classes: Int[Tensor, "b n"]
    """thing channel"""
    scores: Float[Tensor, "b n"]
    """of the object's best peak, 0..1"""
    kept: Bool[Tensor, "b n"]


class StuffKernels(NamedTuple):
    """One kernel a semantic class."""

    kernels: Float[Tensor, "b s d"]
    kept: Bool[Tensor, "b s"]
    scores: Float[Tensor, "b s"]
    """mean of the levels' scores, 0..1"""


def fuse_things(peaks: Peaks, embedding: Embedding, config: PanopticFCNConfig, form: Form) -> ThingKernels:
    """Join peaks to the best one that they resemble.

    Each peak belongs to the best-scored peak whose kernel is similar to its own (of the same class, if
    fusion is class-aware), itself included. Those that belong to themselves stay, with the mean of the
    kernels that belong to them. What belongs to a peak that does not stay is lost, as in the released code.
    """
    chosen = top_k_kept(peaks.kept, form)
    kept, classes, scores = (part.gather(1, chosen) for part in (peaks.kept, peaks.classes, peaks.scores))
    kernels = peaks.kernels.gather(1, chosen[..., None].expand(-1, -1, peaks.kernels.shape[2]))
    embedded = embedding(kernels)
    first = first_alike(embedded, classes, kept, config)
    count = first.shape[1]
    numbers = torch.arange(count, device=first.device)
    stays = kept & (first == numbers)
    # members[b, i, j]: j belongs to i
    members = (first[:, None] == numbers[:, None]).to(embedded.dtype) * kept[:, None]
    fused = members @ embedded / members.sum(2, keepdim=True).clamp(min=1)
    order = top_k_kept(stays, form)
    rows = order[..., None].expand(-1, -1, fused.shape[2])
    return ThingKernels(
        fused.gather(1, rows), classes.gather(1, order), scores.gather(1, order), stays.gather(1, order)
    )


def first_alike(
    kernels: Float[Tensor, "b n d"],
    classes: Int[Tensor, "b n"],
    kept: Bool[Tensor, "b n"],
    config: PanopticFCNConfig,
) -> Int[Tensor, "b n"]:
    """For each kernel the first one, up to itself, that is similar to it."""
    unit = F.normalize(kernels, dim=2, eps=1e-8)
    alike = unit @ unit.transpose(1, 2) >= config.similarity_threshold
    if config.class_aware_fusion:
        alike = alike & (classes[:, :, None] == classes[:, None])
    alike = alike & kept[:, :, None] & kept[:, None]
    numbers = torch.arange(alike.shape[1], device=alike.device)
    alike = (alike & (numbers[:, None] < numbers)) | (numbers[:, None] == numbers)
    return torch.where(alike, numbers[:, None], alike.shape[1]).amin(1)


def fuse_stuff(regions: Regions, embedding: Embedding) -> StuffKernels:
    """The mean kernel of each class over the levels where it was kept."""
    weights = regions.kept.to(regions.kernels.dtype)
    levels = weights.sum(1)
    # the embedding is affine: that of a mean is the mean of embeddings
    mean = torch.einsum("blsc,bls->bsc", regions.kernels, weights) / levels.clamp(min=1)[..., None]
    scores = (regions.scores * weights).sum(1) / levels.clamp(min=1)
    return StuffKernels(embedding(mean), levels > 0, scores)
