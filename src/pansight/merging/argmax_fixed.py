"""The argmax merge's winners with operations of fixed shape: for accelerators, compiled and exported graphs.

One mask after another is upsampled and compared with the best so far, so that one mask in full size exists at
a time. Arithmetic on floats alone decides: comparisons that make truth values, and choices by them, are ten
times slower on a CPU. All of it is exact.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import Upsampling, histogram, pixels
from pansight.merging.winners import Winners

# A logit whose probability is 1 in float32.
ALWAYS = 1e4


def winners_fixed(
    mask_logits: Float[Tensor, "b k h w"],
    scores: Float[Tensor, "b k"],
    kept: Bool[Tensor, "b k"],
    sizes: Sizes,
) -> Winners:
    """See Winners. No shape depends on the data, and nothing waits for the host."""
    masks = kept.shape[1]
    upsample = Upsampling(sizes, outside=0.0)
    inside = upsample.inside(mask_logits.device)
    # what is not kept is worth -1 everywhere, less than anything that is
    mask_logits = torch.where(kept[:, :, None, None], mask_logits.float(), ALWAYS)
    scores = torch.where(kept, scores.float(), -1.0)[:, :, None, None]
    best = codes = None
    below = []
    for mask in range(masks):
        # of a copy, so it may be written over; fresh memory costs as much as the arithmetic
        logits = upsample(mask_logits[:, mask])
        hollow = logits.neg().sign_().relu_()  # 1 where a logit is below 0, else 0
        below.append(pixels(hollow if inside is None else hollow * inside))
        code = hollow.neg_().add_(2 * mask + 1)  # 2 * mask + (1 where its logit is at least 0)
        worth = logits.sigmoid_().mul_(scores[:, mask])
        if best is None or codes is None:
            best, codes = worth, code
            continue
        higher = torch.maximum(best, worth)
        # 1 where this mask beats all before it; its code is larger than theirs
        codes = torch.maximum(codes, code.mul_(best.neg_().add_(higher).sign_()))
        best = higher
    assert codes is not None
    # out of range only where logits are NaN
    numbers = codes.to(torch.int32).clamp(0, 2 * masks - 1)
    if inside is not None:
        numbers = numbers * inside.to(torch.int32)
    won = histogram(numbers, 2 * masks, inside).unflatten(1, (-1, 2))
    everywhere = won.flatten(1).sum(1, dtype=torch.int32)[:, None]
    return Winners(
        numbers, won.sum(2, dtype=torch.int32), everywhere - torch.stack(below, dim=1), won[:, :, 1]
    )
