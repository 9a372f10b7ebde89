"""The contest for pixels with operations of fixed shape: for accelerators, compiled and exported graphs."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pansight.merging.outcome import Outcome
from pansight.merging.sizes import Sizes
from pansight.nn.resampling import Taps, band, resize_crop_resize_taps

# Floats a tile of all masks may hold: small enough for a CPU's cache, large enough to fill a GPU.
TILE_FLOATS = {"cpu": 1 << 20}
TILE_FLOATS_ELSEWHERE = 1 << 26
TILE_WIDTH = 128


class Tile(NamedTuple):
    """A rectangle of the output, the source cells it reads, and the matrices that make one from the other."""

    rows: slice
    columns: slice
    source_rows: slice
    source_columns: slice
    vertical: Float[Tensor, "b th sh"]
    horizontal: Float[Tensor, "b sw tw"]


def cut_tiles(
    source: tuple[int, int],
    padded: tuple[int, int],
    valid: tuple[tuple[int, int], ...],
    output: tuple[tuple[int, int], ...],
    tile_height: int,
    tile_width: int,
    device: torch.device,
) -> tuple[Tile, ...]:
    """Cut the output into tiles and build each one's matrices."""
    taps: list[list[Taps]] = []
    for axis in (0, 1):
        axes = [
            resize_crop_resize_taps(source[axis], padded[axis], v[axis], o[axis])
            for v, o in zip(valid, output, strict=True)
        ]
        # equal pictures share one matrix
        taps.append(axes[:1] if len(set(zip(valid, output, strict=True))) == 1 else axes)
    height, width = (max(o[axis] for o in output) for axis in (0, 1))
    horizontal = []
    for left in range(0, width, tile_width):
        right = min(left + tile_width, width)
        low, high, matrix = band(taps[1], left, right)
        across = matrix.transpose(1, 2).contiguous().to(device)
        horizontal.append((slice(left, right), slice(low, high), across))
    cut = []
    for top in range(0, height, tile_height):
        bottom = min(top + tile_height, height)
        low, high, matrix = band(taps[0], top, bottom)
        matrix = matrix.to(device)
        for columns, source_columns, across in horizontal:
            cut.append(Tile(slice(top, bottom), columns, slice(low, high), source_columns, matrix, across))
    return tuple(cut)


remembered_tiles = lru_cache(maxsize=16)(cut_tiles)
"""a video asks for the same ones every frame"""

constant_tiles = torch.compiler.assume_constant_result(cut_tiles)
"""compilers would trace the arithmetic in numpy, and fail"""


def tiles_of(source: tuple[int, int], masks: int, sizes: Sizes, device: torch.device) -> tuple[Tile, ...]:
    """Tiles of a size at which `masks` maps of them, all pictures together, suit the device."""
    height, width = (max(size[axis] for size in sizes.output) for axis in (0, 1))
    tile_width = min(width, TILE_WIDTH) if device.type == "cpu" else width
    floats = TILE_FLOATS.get(device.type, TILE_FLOATS_ELSEWHERE)
    tile_height = min(height, max(1, math.floor(floats / (max(1, masks) * tile_width))))
    # what is made while a graph is traced is no real tensor, and must not be remembered
    cut = constant_tiles if torch.compiler.is_compiling() else remembered_tiles
    return cut(source, sizes.padded, tuple(sizes.valid), tuple(sizes.output), tile_height, tile_width, device)


def contest_dense(
    mask_logits: Float[Tensor, "b k h w"],
    scores: Float[Tensor, "b k"],
    kept: Bool[Tensor, "b k"],
    sizes: Sizes,
) -> Outcome:
    """See Outcome. Every mask is enlarged, tile by tile; no shape depends on the data."""
    batch, count, *source = mask_logits.shape
    device = mask_logits.device
    height, width = (max(size[axis] for size in sizes.output) for axis in (0, 1))
    inside = inside_of(sizes, device)

    scores = torch.where(kept, scores, -1.0)[:, :, None, None]
    numbers = torch.arange(count, device=device, dtype=torch.int32)[:, None, None]
    won, whole, both = (torch.zeros(batch, count, dtype=torch.int64, device=device) for _ in range(3))
    codes = torch.empty(batch, height, width, dtype=torch.int32, device=device)
    for tile in tiles_of((source[0], source[1]), batch * count, sizes, device):
        part = mask_logits[:, :, tile.source_rows, tile.source_columns].float()
        logits = tile.vertical[:, None] @ part @ tile.horizontal[:, None]
        solid = logits >= 0
        winner = (logits.sigmoid_() * scores).argmax(1, keepdim=True)
        mine = numbers == winner.int()
        if inside is not None:
            visible = inside[:, None, tile.rows, tile.columns]
            solid &= visible
            mine &= visible
        won += mine.sum((2, 3))
        whole += solid.sum((2, 3))
        mine &= solid
        both += mine.sum((2, 3))
        code = 2 * winner + solid.gather(1, winner)
        codes[:, tile.rows, tile.columns] = code[:, 0].int()
    return Outcome(codes, won, whole, both)


def inside_of(sizes: Sizes, device: torch.device) -> Bool[Tensor, "b h w"] | None:
    """Where each picture's map lies in the common batch; None: everywhere."""
    if len(set(sizes.output)) == 1:
        return None
    height, width = (max(size[axis] for size in sizes.output) for axis in (0, 1))
    limits = torch.tensor(sizes.output, device=device)[:, :, None, None]
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)
    return (rows < limits[:, 0]) & (columns < limits[:, 1])
