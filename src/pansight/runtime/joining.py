"""Several batches of maps as one, on their device."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from pansight.panoptic import PanopticBatch


def joined(batches: Sequence[PanopticBatch], order: Sequence[Sequence[int]]) -> PanopticBatch:
    """One batch, as large as the largest: maps are padded with void, tables with empty rows.

    `order` holds for each batch the position in the result of each of its maps.
    """
    if len(batches) == 1 and list(order[0]) == list(range(len(order[0]))):
        return batches[0]
    height, width = (max(batch.ids.shape[axis] for batch in batches) for axis in (1, 2))
    rows = max(batch.categories.shape[1] for batch in batches)
    parts = []
    for batch in batches:
        sides = (0, width - batch.ids.shape[2], 0, height - batch.ids.shape[1])
        empty = (0, rows - batch.categories.shape[1])
        parts.append(
            batch._replace(
                ids=F.pad(batch.ids, sides),
                categories=F.pad(batch.categories, empty, value=-1),
                scores=F.pad(batch.scores, empty),
                areas=F.pad(batch.areas, empty),
            )
        )
    positions = torch.tensor([position for chunk in order for position in chunk])
    back = positions.argsort().to(parts[0].ids.device)
    ids, categories, scores, areas = (
        torch.cat(field)[back] for field in zip(*(p[:4] for p in parts), strict=True)
    )
    flags = [part.overflow for part in parts if part.overflow is not None]
    overflow = torch.cat(flags)[back] if len(flags) == len(parts) else None
    return PanopticBatch(ids, categories, scores, areas, overflow)
