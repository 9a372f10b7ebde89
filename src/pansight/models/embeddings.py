"""From a segment back to the vector that made its mask: what tells objects apart over time.

A merge gives segments, not which query each came from. A segment keeps its query's score and category to the
last bit, which finds it again; where scores were changed on the way, the query is the one whose mask is
strongest inside the segment.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pansight.merging.sizes import Sizes
from pansight.panoptic import PanopticBatch

_STEP = 2
"""Every second point of a feature map, both ways, is enough for a mean."""


def by_score(
    batch: PanopticBatch,
    vectors: Float[Tensor, "b n d"],
    scores: Float[Tensor, "b n"],
    categories: Int[Tensor, "b n"],
) -> Float[Tensor, "b s d"]:
    """The vector of the query with a segment's score and category; zeros where there is none such."""
    same = batch.scores[:, :, None] == scores[:, None].to(batch.scores.dtype)
    same &= batch.categories[:, :, None] == categories[:, None]
    index = same.to(torch.uint8).argmax(2)
    found = vectors.gather(1, index[..., None].expand(-1, -1, vectors.shape[2]))
    return torch.where(same.any(2)[..., None], found, torch.zeros_like(found))


def by_strength(
    batch: PanopticBatch,
    vectors: Float[Tensor, "b n d"],
    categories: Int[Tensor, "b n"],
    features: Float[Tensor, "b d h w"],
    sizes: Sizes,
) -> Float[Tensor, "b s d"]:
    """The vector of a segment's category that gives the largest mean logit on it; zeros where none is.

    `features` are those that the vectors are multiplied with; a mean of logits is the vector times the mean
    feature, so no mask is made. Rows that are not to be found have category -2.
    """
    means = segment_means(batch, features, sizes)
    logits = means @ vectors.transpose(1, 2)
    same = batch.categories[:, :, None] == categories[:, None]
    index = torch.where(same, logits, -torch.inf).argmax(2)
    found = vectors.gather(1, index[..., None].expand(-1, -1, vectors.shape[2]))
    return torch.where(same.any(2)[..., None], found, torch.zeros_like(found))


def segment_means(
    batch: PanopticBatch, features: Float[Tensor, "b d h w"], sizes: Sizes
) -> Float[Tensor, "b s d"]:
    """The mean of a feature map, which spans the padded input, over each segment; zeros of tiny ones."""
    rows = batch.categories.shape[1]
    height, width = features.shape[2:]
    some = features[:, :, ::_STEP, ::_STEP].float()
    means = []
    for image, ids in enumerate(batch.ids):
        places = []
        for axis, length in enumerate((height, width)):
            centre = (torch.arange(0, length, _STEP, device=ids.device) + 0.5) / length
            # share of the padded input -> pixel of the output; beyond the image itself there is nothing
            share = centre * sizes.padded[axis] / sizes.valid[image][axis]
            pixel = (share * sizes.output[image][axis]).long()
            places.append(torch.where(share < 1, pixel, -1))
        rows_y, columns_x = places
        owner = ids[rows_y.clamp(min=0)][:, columns_x.clamp(min=0)].long()
        owner = torch.where((rows_y < 0)[:, None] | (columns_x < 0)[None], 0, owner).flatten()
        values = some[image].flatten(1).T
        total = values.new_zeros(rows + 1, values.shape[1]).index_add_(0, owner, values)
        count = torch.zeros_like(total[:, 0]).index_add_(0, owner, torch.ones_like(values[:, 0]))
        means.append((total / count.clamp(min=1)[:, None])[1:])
    return torch.stack(means)
