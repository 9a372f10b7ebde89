"""`PanopticBatch`: panoptic maps on tensors of fixed shape, as models give them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32
from torch import Tensor

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.panoptic.map import PanopticMap


class PanopticBatch(NamedTuple):
    """Panoptic maps of b images on tensors of fixed shape; s rows per image, most of them often empty.

    `ids` is 0 for void, else 1 + row; `categories` is the contiguous index, -1 in empty rows; `areas` counts
    pixels. `overflow` is true for images that had more candidates than the merge's budget, so that
    only the best were merged (fixed form only); None where this was not counted.
    """

    ids: Int[Tensor, "b h w"]
    categories: Int[Tensor, "b s"]
    scores: Float[Tensor, "b s"]
    areas: Int[Tensor, "b s"]
    overflow: Bool[Tensor, " b"] | None = None

    def host(self) -> "PanopticBatch":
        """The batch on the CPU, brought there in one transfer; itself if it is already there."""
        if self.ids.device.type == "cpu":
            return self
        block = _packed(self.ids, self.categories, self.scores, self.areas, self.overflow)
        return PanopticBatch(*_unpacked(block, self.ids.shape, self.categories.shape[1]))

    def to_maps(
        self, categories: Categories, sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[PanopticMap]:
        """Bring the batch to the host, in one transfer, as maps; id = 1 + row as it is in the tensors.

        `sizes` are (height, width) to crop each map to, from its upper left corner. Rows with category -1 are
        dropped. Maps of a batch on the CPU share its memory. Raises InputError when a pixel points
        at an empty row or there is not one size per image.
        """
        batch = self.host()
        ids, rows = (part.to(torch.int32).numpy() for part in (batch.ids, batch.categories))
        scores = batch.scores.detach().to(torch.float32).numpy()
        if sizes is None:
            sizes = [(ids.shape[1], ids.shape[2])] * len(ids)
        if len(sizes) != len(ids):
            raise InputError(f"{len(sizes)} sizes for a batch of {len(ids)} images; give one per image")
        maps = []
        for picture, row, score, (height, width) in zip(ids, rows, scores, sizes, strict=True):
            table = [(1 + i, int(row[i]), float(score[i])) for i in np.flatnonzero(row >= 0).tolist()]
            maps.append(PanopticMap.from_table(picture[:height, :width], table, categories))
        return maps


def _packed(
    ids: Int[Tensor, "b h w"],
    categories: Int[Tensor, "b s"],
    scores: Float[Tensor, "b s"],
    areas: Int[Tensor, "b s"],
    overflow: Bool[Tensor, " b"] | None,
) -> Int32[Tensor, "n"]:
    """All in one block, the scores as their bits: every copy from a device waits for the device."""
    bits = scores.detach().to(torch.float32).view(torch.int32)
    parts = (ids, categories, bits, areas, *(() if overflow is None else (overflow,)))
    return torch.cat([part.to(torch.int32).flatten() for part in parts])


def _unpacked(
    block: Int32[Tensor, "n"], shape: Sequence[int], rows: int
) -> tuple[
    Int32[Tensor, "b h w"],
    Int32[Tensor, "b s"],
    Float32[Tensor, "b s"],
    Int32[Tensor, "b s"],
    Bool[Tensor, " b"] | None,
]:
    """Bring the block of `_packed` to the host; `shape` is that of the ids."""
    pixels, table = math.prod(shape), shape[0] * rows
    flags = len(block) - pixels - 3 * table
    ids, categories, bits, areas, overflow = block.cpu().split([pixels, table, table, table, flags])
    categories, bits, areas = (part.view(shape[0], rows) for part in (categories, bits, areas))
    scores = bits.view(torch.float32)
    return ids.view(*shape), categories, scores, areas, overflow.bool() if flags else None
