"""The argmax merge's contest with operations of fixed shape: for accelerators, compiled and exported graphs.

One mask after another is upsampled and held against the best so far, so that one mask in full size exists at
a time. Arithmetic on floats alone decides: comparisons that make truth values, and choices by them, are ten
times slower on a CPU. All of it is exact.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pansight.merging.outcome import Outcome
from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import Upsampling, histogram, pixels

# A logit whose probability is 0 in float32.
NEVER = -1e4


def contest_fixed(
    mask_logits: Float[Tensor, "b k h w"],
    scores: Float[Tensor, "b k"],
    kept: Bool[Tensor, "b k"],
    sizes: Sizes,
) -> Outcome:
    """See Outcome. No shape depends on the data, and nothing waits for the host."""
    masks = kept.shape[1]
    upsample = Upsampling(sizes, outside=NEVER)
    inside = upsample.inside(mask_logits.device)
    mask_logits = torch.where(kept[:, :, None, None], mask_logits.float(), NEVER)
    scores = torch.where(kept, scores.float(), 0.0)[:, :, None, None]
    # what is not kept is worth less than anything that is
    offsets = torch.where(kept, 0.0, -1.0)[:, :, None, None]
    best = codes = None
    whole = []
    for mask in range(masks):
        logits = upsample(mask_logits[:, mask])
        solid = 1 - (-logits).sign().relu()  # 1 where a logit is at least 0, else 0
        whole.append(pixels(solid))
        worth = logits.sigmoid() * scores[:, mask] + offsets[:, mask]
        if best is None or codes is None:
            best, codes = worth, solid
            continue
        higher = torch.maximum(best, worth)
        # 1 where this mask beats all before it; its code, 2 * mask + solid, is larger than theirs
        codes = torch.maximum(codes, (higher - best).sign() * (solid + 2 * mask))
        best = higher
    assert codes is not None
    # out of range only where logits are no numbers
    numbers = codes.to(torch.int32).clamp(0, 2 * masks - 1)
    won = histogram(numbers, 2 * masks, inside).unflatten(1, (-1, 2))
    return Outcome(numbers, won.sum(2, dtype=torch.int32), torch.stack(whole, dim=1), won[:, :, 1])
