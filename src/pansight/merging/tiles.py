"""Tiles of an image and the upsampled masks in them, for work on a CPU that skips most of both."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.sizes import Sizes
from pansight.merging.tiling import Tiling, tiling

Maps = Float[Tensor, "k h w"]


class Grid(NamedTuple):
    """The tiles of one image, row by row."""

    rows: Tiling
    columns: Tiling

    def areas(self) -> Int[Tensor, " t"]:
        """Pixels of each tile within the image."""
        return (self.rows.lengths()[:, None] * self.columns.lengths()).flatten()

    def assemble(self, tiles: Int[Tensor, "t p"]) -> Int[Tensor, "h w"]:
        """The image from the pixels of its tiles."""
        lines = tiles.reshape(self.rows.tiles, self.columns.tiles, self.rows.tile, self.columns.tile)
        lines = lines.transpose(1, 2).flatten(2).flatten(0, 1)
        return lines[: self.rows.output, : self.columns.output]


def grid_of(source: tuple[int, int], sizes: Sizes, image: int) -> Grid:
    """Tiles for bringing maps of `source` size to the output of one image."""
    valid, output = sizes.valid[image], sizes.output[image]
    return Grid(*(tiling(source[axis], sizes.padded[axis], valid[axis], output[axis]) for axis in (0, 1)))


def windows(x: Float[Tensor, "n l"], places: Int[Tensor, "t s"]) -> Float[Tensor, "n t s"]:
    """The stretches of lines that start and end as `places` says."""
    return x.index_select(1, places.flatten()).view(len(x), *places.shape)


def bounds(maps: Maps, grid: Grid) -> tuple[Float[Tensor, "k t"], Float[Tensor, "k t"]]:
    """Smallest and largest value of each map in each tile's window."""
    count, _, width = maps.shape
    rows = maps.index_select(1, grid.rows.windows.flatten()).view(count, *grid.rows.windows.shape, width)
    lowest = windows(rows.amin(2).view(-1, width), grid.columns.windows).amin(2)
    highest = windows(rows.amax(2).view(-1, width), grid.columns.windows).amax(2)
    return lowest.view(count, -1), highest.view(count, -1)


def upsample(
    maps: Maps, masks: Int[Tensor, "m t"], tiles: Int[Tensor, " t"], grid: Grid
) -> Float[Tensor, "m t th tw"]:
    """The values of `masks` in each of `tiles`."""
    _, height, width = maps.shape
    row, column = tiles // grid.columns.tiles, tiles % grid.columns.tiles
    places = (grid.rows.windows[row] * width)[:, :, None] + grid.columns.windows[column][:, None]
    places = (masks * (height * width))[:, :, None, None] + places
    patches = maps.flatten().index_select(0, places.flatten()).view(places.shape)
    return grid.rows.matrix[row] @ patches @ grid.columns.matrix[column].transpose(1, 2)


def inside(tiles: Int[Tensor, " t"], grid: Grid) -> Bool[Tensor, "t th tw"] | None:
    """Which pixels of the tiles lie in the image; None: all."""
    if grid.rows.even and grid.columns.even:
        return None
    row = grid.rows.lengths()[tiles // grid.columns.tiles, None, None]
    column = grid.columns.lengths()[tiles % grid.columns.tiles, None, None]
    return (torch.arange(grid.rows.tile)[:, None] < row) & (torch.arange(grid.columns.tile) < column)
