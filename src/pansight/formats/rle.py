"""COCO's compressed run lengths of masks, made from a map of ids in one pass.

Source: the format of cocoapi's `rleToString`: runs down the columns, beginning with background, each written
as its difference to the one two before, five bits a character.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Integer


def encode_rle(ids: Integer[np.ndarray, "h w"], wanted: Sequence[int]) -> list[str]:
    """The `counts` of the mask of each wanted id.

    >>> encode_rle(np.array([[0, 7], [7, 7]]), [7])
    ['13']
    """
    flat = ids.T.ravel()
    if not flat.size:
        return ["" for _ in wanted]
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    ends = np.append(starts[1:], flat.size)
    owners = flat[starts]
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    found = []
    for id in wanted:
        rows = order[np.searchsorted(ordered, id) : np.searchsorted(ordered, id, side="right")]
        bounds = np.stack((starts[rows], ends[rows]), axis=1).ravel()
        runs = np.diff(np.concatenate(([0], bounds, [flat.size])))
        if runs[-1] == 0:
            runs = runs[:-1]
        found.append(_text(runs))
    return found


def _text(runs: Int64[np.ndarray, "n"]) -> str:
    letters = []
    for position, run in enumerate(runs.tolist()):
        value = run - (int(runs[position - 2]) if position > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            letters.append(chr(48 + (bits | 0x20 if more else bits)))
    return "".join(letters)
