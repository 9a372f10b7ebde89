"""Painting with operations of fixed shape: for accelerators, compiled and exported graphs."""

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from pansight.merging.argmax_fixed import Tile, inside_of, tiles_of
from pansight.merging.priority_rule import Cut, Painting, Stack, judged
from pansight.merging.sizes import Sizes
from pansight.nn.fixed_point import settle

Bits = Bool[Tensor, "b k th tw"]
Packed = UInt8[Tensor, "b n th tw"]


def paint_dense(stack: Stack, sizes: Sizes, cut: Cut, max_occlusion: float) -> Painting:
    """See Painting. Every mask is enlarged, tile by tile, and kept as bits; no shape depends on the data."""
    batch, count, *source = stack.values.shape
    device = stack.values.device
    tiles = tiles_of((source[0], source[1]), batch * count, sizes, device)
    inside = inside_of(sizes, device)
    areas = torch.zeros(batch, count, dtype=torch.int64, device=device)
    packed = []
    for tile in tiles:
        bits = _bits(stack, tile, cut)
        if inside is not None:
            bits &= inside[:, None, tile.rows, tile.columns]
        areas += bits.sum((2, 3))
        packed.append(_pack(bits))
    numbers = torch.arange(count, dtype=torch.int32, device=device)[:, None, None]

    def first_of(bits: Bits, accepted: Bool[Tensor, "b k"]) -> Int[Tensor, "b 1 th tw"]:
        """The first accepted mask at each pixel, or k."""
        return torch.where(bits & accepted[:, :, None, None], numbers, count).amin(1, keepdim=True)

    def step(accepted: Bool[Tensor, "b k"]) -> Bool[Tensor, "b k"]:
        lost = torch.zeros_like(areas)
        for part in packed:
            bits = _unpack(part, count)
            lost = lost + (bits & (numbers > first_of(bits, accepted))).sum((2, 3))
        return judged(areas, lost, stack.allowed, max_occlusion)

    accepted = settle(step, stack.allowed & (areas > 0))
    height, width = (max(size[axis] for size in sizes.output) for axis in (0, 1))
    owners = torch.empty(batch, height, width, dtype=torch.int32, device=device)
    for tile, part in zip(tiles, packed, strict=True):
        bits = _unpack(part, count)
        first = first_of(bits, accepted)[:, 0]
        bare = ~bits.any(1)
        owners[:, tile.rows, tile.columns] = first + bare.to(first.dtype)
    return Painting(owners, accepted)


def _bits(stack: Stack, tile: Tile, cut: Cut) -> Bits:
    part = stack.values[:, :, tile.source_rows, tile.source_columns].float()
    values = tile.vertical[:, None] @ part @ tile.horizontal[:, None]
    return cut.of(values) & stack.present[:, :, None, None]


def _pack(bits: Bits) -> Packed:
    """Eight masks a byte."""
    filled = F.pad(bits.to(torch.uint8), (0, 0, 0, 0, 0, -bits.shape[1] % 8))
    return (filled.unflatten(1, (-1, 8)) << _shifts(bits.device)).sum(2, dtype=torch.uint8)


def _unpack(packed: Packed, count: int) -> Bits:
    return ((packed[:, :, None] >> _shifts(packed.device)) & 1).bool().flatten(1, 2)[:, :count]


def _shifts(device: torch.device) -> UInt8[Tensor, "8 1 1"]:
    return torch.arange(8, dtype=torch.uint8, device=device)[:, None, None]
