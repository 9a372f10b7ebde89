"""The best category of every pixel, from logits at a lower resolution."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.merging.sizes import Sizes

# Floats of enlarged logits that may exist at once.
CHUNK_FLOATS = 1 << 23


@torch.no_grad()
def semantic_argmax(logits: Float[Tensor, "b n h w"], sizes: Sizes) -> Int[Tensor, "b H W"]:
    """The channel whose enlarged value is largest at each pixel; of equal ones the first.

    Values are `F.interpolate`'s (bilinear, align_corners False), twice: to `sizes.padded`, of which
    `sizes.valid` is kept, and from there to `sizes.output`; a step that changes no size is left out. For maps
    that the output is to be made of directly, give their own size as `padded` and `valid`. Few channels are
    enlarged at a time.

    Returns int32 channels 0..n - 1; -1 beyond a picture's own output.
    """
    height, width = (max(size[axis] for size in sizes.output) for axis in (0, 1))
    best = logits.new_full((len(logits), height, width), -1, dtype=torch.int32)
    pictures: dict[tuple[tuple[int, int], tuple[int, int]], list[int]] = {}
    for picture, pair in enumerate(zip(sizes.valid, sizes.output, strict=True)):
        pictures.setdefault(pair, []).append(picture)
    for (valid, output), numbers in pictures.items():
        some = logits if len(numbers) == len(logits) else logits[numbers]
        found = _argmax(some, sizes.padded, valid, output)
        if len(pictures) == 1:
            return found
        best[numbers, : output[0], : output[1]] = found
    return best


def enlarged(
    maps: Float[Tensor, "b n h w"], padded: tuple[int, int], valid: tuple[int, int], output: tuple[int, int]
) -> Float[Tensor, "b n H W"]:
    """Enlarge to `padded`, keep the first `valid`, resize these to `output`: the plain form, all at once."""
    if tuple(maps.shape[2:]) != padded:
        maps = F.interpolate(maps, size=padded, mode="bilinear", align_corners=False)
    maps = maps[:, :, : valid[0], : valid[1]]
    if valid == output:
        return maps
    return F.interpolate(maps, size=output, mode="bilinear", align_corners=False)


def _argmax(
    logits: Float[Tensor, "b n h w"], padded: tuple[int, int], valid: tuple[int, int], output: tuple[int, int]
) -> Int[Tensor, "b H W"]:
    pixels = len(logits) * max(padded[0] * padded[1], output[0] * output[1])
    size = chunk_size(logits.shape[1], max(1, CHUNK_FLOATS // pixels))
    best, first = None, 0
    for part in logits.float().contiguous().split(size, dim=1):
        values = enlarged(part, padded, valid, output)
        top = values.amax(1)
        # a search for the first of the best is many times slower than arithmetic on small integers
        rank = torch.arange(values.shape[1], 0, -1, dtype=torch.uint8, device=values.device)[:, None, None]
        place = len(rank) - ((values == top[:, None]).to(torch.uint8) * rank).amax(1).to(torch.int32) + first
        if best is None:
            best, index = top, place
        else:
            better = top > best
            best, index = torch.where(better, top, best), torch.where(better, place, index)
        first += size
    return index


def chunk_size(channels: int, most: int) -> int:
    """At most `most` channels (and 255), but no chunk of three.

    On CPUs torch rounds three channels otherwise than any other number of them, having a path for pictures.
    """
    size = min(most, 255)
    if channels <= size:
        return channels
    while size > 2 and (size == 3 or channels % size == 3):
        size -= 1
    return size
