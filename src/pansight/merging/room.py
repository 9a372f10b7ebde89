"""How much the pruned form of a merge works on at a time, so that it stays below a memory limit."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from pansight.errors import InputError
from pansight.merging.settings import Form
from pansight.merging.upsampling import looked_up

# Pixels of a map that are looked up or counted at a time.
BAND = 1 << 20

_LEAST = 8 << 20
"""bytes without which no chunk is worth its overhead"""


class Room(NamedTuple):
    """Sizes of chunks. They decide how long a merge takes, not its result."""

    chunk: int = 1 << 18
    """floats that are worked on at a time: 1 MiB, for the cache"""
    masks: int = 1 << 21
    """floats of whole masks that are looked at for bounds at a time"""
    semantics: int = 1 << 23
    """floats of upsampled logits that may exist at once"""
    pixels: int = 1 << 24
    """pixels of findings that may be remembered, 4 bytes each; others are worked out anew every round"""
    pairs: int = 1 << 22
    """pairs of run and mask that may be remembered, 16 bytes each and as much again while they are joined"""


def room_for(ceiling: int | None, pixels: int, mask_bytes: int = 0, maps: int = 4) -> Room:
    """Chunks for a merge that holds at most `ceiling` bytes besides the network's outputs; None: no limit.

    Args:
        pixels: of all maps of the batch.
        mask_bytes: of all soft masks of the batch, which are sorted into a copy.
        maps: 32-bit maps that exist at once.

    Raises InputError where the limit is too low.
    """
    if ceiling is None:
        return Room()
    rest = ceiling - 4 * maps * pixels - mask_bytes
    if rest < _LEAST:
        least = -(-(4 * maps * pixels + mask_bytes + _LEAST) // 1_000_000)
        raise InputError(
            f"merge.max_memory {ceiling / 1e6:.0f} MB is too low for maps of {pixels} pixels; "
            f"give at least {least}MB, or a smaller --batch-size"
        )
    usual = Room()
    return Room(
        chunk=min(usual.chunk, rest // 64),
        masks=min(usual.masks, rest // 32),
        semantics=min(usual.semantics, rest // 16),
        pixels=min(usual.pixels, rest // 16),
        pairs=min(usual.pairs, rest // 128),
    )


def bands(maps: Int[Tensor, "b h w"]) -> Iterator[tuple[int, slice]]:
    """Each image's number with each stretch of rows, a million pixels or one row."""
    rows = max(1, BAND // max(1, maps.shape[2]))
    for image in range(maps.shape[0]):
        for first in range(0, maps.shape[1], rows):
            yield image, slice(first, first + rows)


def by_table(table: Int[Tensor, "b n"], codes: Int[Tensor, "b h w"], form: Form) -> Int[Tensor, "b h w"]:
    """What each image's table says of its codes; in the pruned form in the codes' own memory."""
    return renumber(table, codes) if form == "pruned" else looked_up(table, codes)


def renumber(table: Int[Tensor, "b n"], codes: Int[Tensor, "b h w"]) -> Int[Tensor, "b h w"]:
    """Put what each image's table says of its codes in their place."""
    for image, rows in bands(codes):
        some = codes[image, rows]
        some.copy_(table[image].index_select(0, some.reshape(-1)).view(some.shape))
    return codes


def counted(codes: Int[Tensor, "b h w"], length: int) -> Int[Tensor, "b n"]:
    """How often each code, 0..length - 1, stands in each image."""
    counts = torch.zeros(len(codes), length, dtype=torch.int64)
    for image, rows in bands(codes):
        counts[image] += torch.bincount(codes[image, rows].reshape(-1), minlength=length)
    return counts.to(codes.dtype)
