"""Tiles of an image and the upsampled masks in them, for work on a CPU that skips most of both."""

from collections.abc import Sequence
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

    def canvas(self, code: "Int[Tensor, ' t'] | int") -> "Canvas":
        """An image of one code, or of one code per tile."""
        return Canvas(self, code)


class Canvas:
    """An image that is written tile by tile, in place: no second buffer of its size exists."""

    def __init__(self, grid: Grid, code: "Int[Tensor, ' t'] | int") -> None:
        rows, columns = grid.rows, grid.columns
        self.grid = grid
        self._image = torch.empty(rows.tiles * rows.tile, columns.tiles * columns.tile, dtype=torch.int32)
        self._tiles = self._image.view(rows.tiles, rows.tile, columns.tiles, columns.tile).transpose(1, 2)
        if isinstance(code, Tensor):
            self._tiles.copy_(code.view(rows.tiles, columns.tiles, 1, 1))
        else:
            self._image.fill_(code)

    def write(self, tiles: Int[Tensor, " t"], codes: Int[Tensor, "t _"]) -> None:
        """Each pixel of these tiles, row by row, or one code per tile."""
        columns = self.grid.columns.tiles
        shape = self._tiles.shape[2:] if codes.shape[1] > 1 else (1, 1)
        self._tiles[tiles // columns, tiles % columns] = codes.view(-1, *shape).expand(
            -1, *self._tiles.shape[2:]
        )

    @property
    def image(self) -> Int[Tensor, "h w"]:
        """The image, in the canvas' memory."""
        return self._image[: self.grid.rows.output, : self.grid.columns.output]


def common(canvases: Sequence[Canvas], outside: int) -> Int[Tensor, "b h w"]:
    """Images as one batch, `outside` beyond each one's own size."""
    images = [canvas.image for canvas in canvases]
    if len(images) == 1:
        return images[0].contiguous()[None]
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    batch = torch.full((len(images), height, width), outside, dtype=torch.int32)
    for place, image in zip(batch, images, strict=True):
        place[: image.shape[0], : image.shape[1]] = image
    return batch


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


def patch_minima(maps: Maps, grid: Grid) -> Float[Tensor, "k _ _"]:
    """The smallest value of each patch of cells that one pixel may mix, at the place of its first cell.

    The maps become smaller by the span of a patch less one.
    """
    for _ in range(grid.rows.span - 1):
        maps = torch.minimum(maps[:, :-1], maps[:, 1:])
    for _ in range(grid.columns.span - 1):
        maps = torch.minimum(maps[:, :, :-1], maps[:, :, 1:])
    return maps


def least_by_tile(patches: Float[Tensor, "h w"], grid: Grid) -> Float[Tensor, " t"]:
    """The least of what patches have (see `patch_minima`) over those of each tile's window.

    Whatever some map surely has in every patch, every pixel of the tile has from some map.
    """
    rows, columns = grid.rows, grid.columns
    patches = windows(patches.T, rows.windows[:, : rows.windows.shape[1] - rows.span + 1]).amin(2)
    patches = windows(patches.T, columns.windows[:, : columns.windows.shape[1] - columns.span + 1]).amin(2)
    return patches.flatten()


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
