"""The best category of every pixel, from logits at a lower resolution."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pansight.merging.room import Room, room_for
from pansight.merging.settings import Form
from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import Upsampling, interpolated


@torch.no_grad()
def semantic_argmax(
    logits: Float[Tensor, "b n h w"], sizes: Sizes, form: Form, max_memory: int | None = None
) -> Int[Tensor, "b H W"]:
    """The channel whose upsampled value is largest at each pixel; of equal ones the first.

    Values are `F.interpolate`'s (bilinear, align_corners False), twice: to `sizes.padded`, of which
    `sizes.valid` is kept, and from there to `sizes.output`; a step that changes no size is left out. For maps
    that the output is to be made of directly, give their own size as `padded` and `valid`. Few channels
    are upsampled at a time, so that `max_memory` bytes are not exceeded in the pruned form.

    Returns int32 channels 0..n - 1; -1 beyond an image's own output.
    """
    if form == "fixed":
        return running_argmax(logits, sizes)[1]
    height, width = sizes.largest()
    # the best values, their channels, and a channel's values with where these are better
    room = room_for(max_memory, sizes.pixels())
    best = logits.new_full((len(logits), height, width), -1, dtype=torch.int32)
    images: dict[tuple[tuple[int, int], tuple[int, int]], list[int]] = {}
    for image, pair in enumerate(zip(sizes.valid, sizes.output, strict=True)):
        images.setdefault(pair, []).append(image)
    for (valid, output), numbers in images.items():
        some = logits if len(numbers) == len(logits) else logits[numbers]
        found = _argmax(some, sizes.padded, valid, output, room)
        if len(images) == 1:
            return found
        best[numbers, : output[0], : output[1]] = found
    return best


def running_argmax(
    logits: Float[Tensor, "b n h w"], sizes: Sizes
) -> tuple[Float[Tensor, "b H W"], Int[Tensor, "b H W"]]:
    """The largest upsampled value at each pixel, and its channel: one channel after another, fixed shapes."""
    upsample = Upsampling(sizes, outside=0.0)
    best = upsample(logits[:, 0])
    channels = torch.zeros_like(best)
    for channel in range(1, logits.shape[1]):
        higher = torch.maximum(best, upsample(logits[:, channel]))
        # arithmetic is several times faster than choices by truth values on a CPU
        channels = torch.maximum(channels, (higher - best).sign() * channel)
        best = higher
    inside = upsample.inside(logits.device)
    if inside is not None:
        channels = (channels + 1) * inside - 1
    # out of range only where logits are NaN
    return best, channels.to(torch.int32).clamp(-1, logits.shape[1] - 1)


def _argmax(
    logits: Float[Tensor, "b n h w"],
    padded: tuple[int, int],
    valid: tuple[int, int],
    output: tuple[int, int],
    room: Room,
) -> Int[Tensor, "b H W"]:
    pixels = len(logits) * max(padded[0] * padded[1], output[0] * output[1])
    size = chunk_size(logits.shape[1], max(1, room.semantics // pixels))
    best: Tensor | None = None
    index = torch.zeros(0)
    first = 0
    for part in logits.float().contiguous().split(size, dim=1):
        values = interpolated(part, padded, valid, output)
        if size == 1:  # of large maps: all in place
            # of maps that need no resize these are the logits themselves
            values = values[:, 0].clone() if values.data_ptr() == part.data_ptr() else values[:, 0]
            if best is None:
                best, index = values, torch.zeros_like(values, dtype=torch.int32)
            else:
                index.masked_fill_(values > best, first)
                torch.maximum(best, values, out=best)
            first += 1
            continue
        top, place = first_best(values)
        place += first
        if best is None:
            best, index = top, place
        else:
            better = top > best
            best, index = torch.where(better, top, best), torch.where(better, place, index)
        first += size
    return index


def first_best(
    values: Float[Tensor, "b n *p"],
) -> tuple[Float[Tensor, "b *p"], Int[Tensor, "b *p"]]:
    """The largest of each pixel's values and the place of the first that is equal to it.

    argmax is many times slower on a CPU than arithmetic on small integers: ranks that fall with the place
    single the first one out. Where all values are NaN the place is n - 1.

    Example:
        >>> first_best(torch.tensor([[[1.0, 0.5], [1.0, 2.0]]]))[1].tolist()
        [[0, 1]]
    """
    count = values.shape[1]
    top = values.amax(1)
    small = torch.uint8 if count <= 255 else torch.int32
    rank = torch.arange(count, 0, -1, dtype=small, device=values.device)
    rank = rank.reshape(-1, *(1 for _ in values.shape[2:]))
    found = ((values == top[:, None]).to(small) * rank).amax(1)
    return top, (count - found.to(torch.int32)).clamp_(max=count - 1)


def chunk_size(channels: int, most: int) -> int:
    """At most `most` channels (and 255), but no chunk of three.

    On CPUs torch rounds three channels otherwise than any other number of them, having a path for images.
    """
    size = min(most, 255)
    if channels <= size:
        return channels
    while size > 2 and (size == 3 or channels % size == 3):
        size -= 1
    return size
