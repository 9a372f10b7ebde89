"""Cutting an axis of the output into tiles, each made from a window of source cells."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pansight.nn.resampling import resize_crop_resize_weights

# Source cells a tile covers: fewer find more tiles with nothing to decide, more have less overhead. Of 4, 6
# and 8, 6 is within a tenth of the best for nearly all merges, sizes and models tried; 8 took up to a quarter
# longer.
CELLS = 6
# Output pixels a tile may have, for maps many times as large as the masks.
LONGEST = 128


class Tiling(NamedTuple):
    """Tiles of equal length along one axis; the last may reach beyond the end, repeating the last pixel."""

    source: int
    output: int
    tile: int
    """length in output pixels"""
    windows: Int[Tensor, "n s"]
    """source positions that each tile reads"""
    matrix: Float[Tensor, "n t s"]
    """a window's values to a tile's"""
    span: int
    """most source positions, first to last, that one output pixel mixes"""

    @property
    def tiles(self) -> int:
        """How many there are."""
        return self.windows.shape[0]

    @property
    def even(self) -> bool:
        """Whether the tiles end where the axis ends."""
        return self.tiles * self.tile == self.output

    def lengths(self) -> Int[Tensor, " n"]:
        """Output pixels of each tile within the axis."""
        lengths = torch.full((self.tiles,), self.tile)
        lengths[-1] = self.output - (self.tiles - 1) * self.tile
        return lengths


def tile_length(output: int, wanted: int) -> int:
    """A length near `wanted` that wastes least when the last tile is filled up."""
    choices = range(max(1, wanted * 3 // 4), min(output, max(1, wanted * 3 // 2)) + 1)
    return min(choices, key=lambda length: (-output % length, abs(length - wanted)))


@lru_cache(maxsize=64)
def tiling(source: int, padded: int, valid: int, output: int) -> Tiling:
    """Tiles for `resize_crop_resize_weights` of the same arguments; a video asks for the same every frame."""
    axis = resize_crop_resize_weights(source, padded, valid, output)
    upsampling = output * padded / (source * valid)
    tile = tile_length(output, min(max(CELLS, round(CELLS * upsampling)), LONGEST, output))
    count = -(-output // tile)
    positions = np.arange(count * tile).clip(max=output - 1)
    sources = axis.sources[positions].reshape(count, tile, -1)
    weights = axis.weights[positions].reshape(count, tile, -1)
    low, high = sources.min((1, 2)), sources.max((1, 2)) + 1
    size = int((high - low).max())
    low = low.clip(max=source - size)
    matrix = np.zeros((count, tile, size), dtype=np.float32)
    place = (np.arange(count)[:, None, None], np.arange(tile)[:, None], sources - low[:, None, None])
    np.add.at(matrix, place, weights)
    windows = low[:, None] + np.arange(size)
    span = int((axis.sources.max(1) - axis.sources.min(1)).max()) + 1
    return Tiling(source, output, tile, torch.from_numpy(windows), torch.from_numpy(matrix), span)
