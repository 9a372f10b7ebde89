"""From masks to one panoptic map, on tensors: every pixel goes to one segment, nothing leaves the device.

`merge_by_argmax` is the rule of MaskFormer and YOSO: pixels go to the mask with the largest
score * probability, and a mask that lost too much of itself to others is dropped.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.models.preprocess import Sizes
from pansight.nn.resampling import Taps, band, resize_crop_resize_taps
from pansight.panoptic import PanopticBatch

# Floats a tile of all kept masks may hold: small enough for a CPU's cache, large enough to fill a GPU.
TILE_FLOATS = {"cpu": 1 << 20}
TILE_FLOATS_ELSEWHERE = 1 << 26
TILE_WIDTH = 128


class Candidates(NamedTuple):
    """Masks that may become segments, one row a query; rows beyond a picture's own count are not `kept`."""

    mask_logits: Float[Tensor, "b k h w"]
    scores: Float[Tensor, "b k"]
    categories: Int[Tensor, "b k"]
    kept: Bool[Tensor, "b k"]


class _Tile(NamedTuple):
    rows: slice
    columns: slice
    source_rows: slice
    source_columns: slice
    vertical: Float[Tensor, "b th sh"]
    horizontal: Float[Tensor, "b sw tw"]


def keep_first(kept: Bool[Tensor, "b n"]) -> Int[Tensor, "b k"]:
    """Query numbers, kept ones first in their order, as many as the fullest picture keeps.

    On the CPU their count costs nothing to read, so only kept masks are ever computed. Elsewhere, and in
    compiled or exported graphs, reading it would stall the device: all queries stay, the shape is fixed.
    """
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
    if kept.device.type == "cpu" and not torch.compiler.is_compiling():
        return order[:, : max(1, int(kept.sum(1).max()))]
    return order


@lru_cache(maxsize=16)
def _tiles(
    source: tuple[int, int],
    padded: tuple[int, int],
    valid: tuple[tuple[int, int], ...],
    output: tuple[tuple[int, int], ...],
    tile_height: int,
    tile_width: int,
    device: torch.device,
) -> tuple[_Tile, ...]:
    """Cut the output into tiles and build each one's matrices; a video asks for the same ones every frame."""
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
        horizontal.append((slice(left, right), slice(low, high), matrix.transpose(1, 2).contiguous().to(device)))
    tiles = []
    for top in range(0, height, tile_height):
        bottom = min(top + tile_height, height)
        low, high, matrix = band(taps[0], top, bottom)
        matrix = matrix.to(device)
        for columns, source_columns, across in horizontal:
            tiles.append(_Tile(slice(top, bottom), columns, slice(low, high), source_columns, matrix, across))
    return tuple(tiles)


def merge_by_argmax(
    candidates: Candidates,
    sizes: Sizes,
    is_thing: Bool[Tensor, " c"],
    overlap_threshold: float,
    rows: int,
) -> PanopticBatch:
    """MaskFormer's panoptic merge (NeurIPS 2021, Sec. 3.4), as YOSO's released code applies it.

    1. Every pixel goes to the kept mask with the largest score * probability.
    2. A mask is dropped unless it won a pixel, has one of probability >= 0.5, and one that is both; and
       unless pixels won / pixels of probability >= 0.5 reaches `overlap_threshold`. Won pixels count below
       0.5 too, so that ratio can exceed 1.
    3. What remains of a mask: its won pixels of probability >= 0.5. Stuff of one category becomes one
       segment; other pixels are void. Ids rise in query order.

    Logits are brought to the wanted size tile by tile; no more than a tile of the masks exists at once.

    Args:
        candidates: masks at the network's resolution (of the padded input).
        sizes: of the padded input, the pictures in it, and the maps wanted. Pictures of different output
            size share one batch as large as the largest, void outside.
        is_thing: by category.
        rows: length of the segment table, at least the number of candidates.

    Returns: the maps; `scores` holds a segment's best mask score.
    """
    batch, count, *source = candidates.mask_logits.shape
    device = candidates.mask_logits.device
    height = max(h for h, _ in sizes.output)
    width = max(w for _, w in sizes.output)
    tile_width = min(width, TILE_WIDTH) if device.type == "cpu" else width
    floats = TILE_FLOATS.get(device.type, TILE_FLOATS_ELSEWHERE)
    tile_height = min(height, max(1, math.floor(floats / (batch * count * tile_width))))
    tiles = _tiles(
        (source[0], source[1]),
        sizes.padded,
        tuple(sizes.valid),
        tuple(sizes.output),
        tile_height,
        tile_width,
        device,
    )
    ragged = len(set(sizes.output)) > 1
    inside = _inside(sizes.output, height, width, device) if ragged else None

    scores = torch.where(candidates.kept, candidates.scores, -1.0)[:, :, None, None]
    numbers = torch.arange(count, device=device, dtype=torch.int32)[:, None, None]
    won, whole, both = (torch.zeros(batch, count, dtype=torch.int64, device=device) for _ in range(3))
    # the winner of each pixel, or `count` where its probability is below one half
    winners = torch.empty(batch, height, width, dtype=torch.int32, device=device)
    for tile in tiles:
        part = candidates.mask_logits[:, :, tile.source_rows, tile.source_columns].float()
        logits = tile.vertical[:, None] @ part @ tile.horizontal[:, None]
        probability = logits.sigmoid_()
        half = probability >= 0.5
        winner = (probability * scores).argmax(1, keepdim=True)
        mine = numbers == winner.int()
        if inside is not None:
            visible = inside[:, None, tile.rows, tile.columns]
            half &= visible
            mine &= visible
        won += mine.sum((2, 3))
        whole += half.sum((2, 3))
        mine &= half
        both += mine.sum((2, 3))
        solid = half.gather(1, winner)
        winners[:, tile.rows, tile.columns] = torch.where(solid, winner, count)[:, 0].int()

    accepted = candidates.kept & (won > 0) & (whole > 0) & (both > 0)
    accepted &= won.double() / whole.double() >= overlap_threshold
    return _assemble(candidates, accepted, both, winners, is_thing, rows)


def _inside(
    output: list[tuple[int, int]], height: int, width: int, device: torch.device
) -> Bool[Tensor, "b h w"]:
    """Where each picture's map lies in the common batch."""
    limits = torch.tensor(output, device=device)[:, :, None, None]
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)
    return (rows < limits[:, 0]) & (columns < limits[:, 1])


def _assemble(
    candidates: Candidates,
    accepted: Bool[Tensor, "b k"],
    areas: Int[Tensor, "b k"],
    winners: Int[Tensor, "b h w"],
    is_thing: Bool[Tensor, " c"],
    rows: int,
) -> PanopticBatch:
    """Number the accepted masks, join stuff of one category, and look every pixel's number up."""
    batch, count = accepted.shape
    device = accepted.device
    # a stuff mask joins the first accepted one of its category; everything else is its own first
    categories = candidates.categories.clamp(max=len(is_thing) - 1)
    joins = accepted & ~is_thing[categories]
    same = (categories[:, :, None] == categories[:, None]) & joins[:, :, None] & joins[:, None]
    own = torch.eye(count, dtype=torch.bool, device=device)
    first = (same | own).to(torch.uint8).argmax(2)
    opens = accepted & (first == torch.arange(count, device=device))
    ids = torch.where(accepted, opens.cumsum(1).gather(1, first), 0)

    table = torch.cat((ids, ids.new_zeros(batch, 1)), dim=1).int()  # the last entry is void
    base = torch.arange(batch, device=device, dtype=torch.int32)[:, None, None] * (count + 1)
    maps = table.flatten().index_select(0, (winners + base).flatten()).reshape(winners.shape)

    # rows of the segment table; row 0 of the wider scatter collects what is not accepted
    shape = (batch, max(rows, count) + 1)
    filled = torch.full(shape, -1, dtype=torch.int64, device=device)
    filled = filled.scatter(1, torch.where(opens, ids, 0), torch.where(opens, candidates.categories, -1))
    best = candidates.scores.new_zeros(shape)
    best = best.scatter_reduce(1, ids, torch.where(accepted, candidates.scores, 0), "amax")
    total = torch.zeros(shape, dtype=torch.int64, device=device)
    total = total.scatter_add(1, ids, torch.where(accepted, areas, 0))
    return PanopticBatch(maps, filled[:, 1:], best[:, 1:], total[:, 1:])
