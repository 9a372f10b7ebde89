"""Masks as COCO's packed run lengths, without pycocotools.

Source: https://cocodataset.org/#format-data and cocoapi's common/maskApi.c: runs go down the columns and
begin with the zeros.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int64


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Packed run lengths of a mask: {"size": [h, w], "counts": text}, as COCO's JSON files hold them."""
    columns = np.ascontiguousarray(mask.T).ravel()
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    first = [0] if len(columns) and columns[0] else []
    bounds = np.concatenate([np.array([0, *first], np.int64), changes, np.array([len(columns)], np.int64)])
    return {"size": [int(side) for side in mask.shape], "counts": _packed(np.diff(bounds))}


def _packed(runs: Int64[np.ndarray, "n"]) -> str:
    """Five bits a letter, lowest first; from the fourth number on the difference to the last but one."""
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]
    columns = []
    pending = np.ones(len(numbers), dtype=np.bool_)
    while pending.any():
        low = numbers & 0x1F
        numbers = numbers >> 5
        more = pending & np.where(low & 0x10, numbers != -1, numbers != 0)
        columns.append(np.where(pending, low + 48 + np.where(more, 0x20, 0), 0))
        pending = more
    if not columns:
        return ""
    letters = np.stack(columns, axis=1).ravel()
    return letters[letters > 0].astype(np.uint8).tobytes().decode("ascii")
