"""COCO's compressed run-length code of every segment of a map, without making a mask of any.

Source: maskApi.c of pycocotools (rleToString): runs in column order, zeros first; from the fourth count on
the difference to the count two before; five bits a character, the sixth says that more follow, 48 is added.
"""

import numpy as np
from jaxtyping import Int64

from pansight.panoptic import PanopticMap


def segment_counts(panoptic: PanopticMap) -> dict[int, str]:
    """The `counts` of each segment by its id; `size` is [height, width] of the map."""
    height, width = panoptic.ids.shape
    flat = np.ascontiguousarray(panoptic.ids.T).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    bounds = np.searchsorted(values[order], [[s.id, s.id + 1] for s in panoptic.segments]).tolist()
    codes = {}
    for segment, (first, last) in zip(panoptic.segments, bounds, strict=True):
        runs = order[first:last]
        edges = np.stack([starts[runs], ends[runs]], 1).ravel()
        counts = np.diff(np.concatenate([[0], edges, [height * width]]))
        # runs of one id never touch: only the last count can be empty
        codes[segment.id] = compressed(counts if counts[-1] else counts[:-1])
    return codes


def compressed(counts: Int64[np.ndarray, "n"]) -> str:
    """Counts of zeros and ones in turn as COCO's string."""
    values = counts.copy()
    values[3:] -= counts[1:-2]
    characters = np.empty((len(values), 13), dtype=np.uint8)
    used = np.zeros((len(values), 13), dtype=np.bool_)
    active = np.ones(len(values), dtype=np.bool_)
    for place in range(13):  # 13 times five bits hold any 64-bit number
        low = values & 31
        values = values >> 5
        more = np.where(low & 16, values != -1, values != 0)
        characters[:, place] = low + np.where(more, 32, 0) + 48
        used[:, place] = active
        active &= more
        if not active.any():
            break
    return characters[used].tobytes().decode("ascii")
