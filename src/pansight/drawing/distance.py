"""Distance to the nearest edge, exactly, in NumPy: importing scipy's takes as long as drawing ten images."""

import numpy as np
from jaxtyping import Bool, Float


def distance_inside(inner: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Euclidean distance of each true cell to the nearest false one, in cells; 0 at false ones.

    The border must be false. Two passes, as in Felzenszwalb and Huttenlocher (2012): distances along columns,
    then along rows the least of column distance and offset, squared; offsets end where they exceed all that
    was found so far.

    Example:
        >>> distance_inside(np.pad(np.ones((3, 3), dtype=bool), 1))[2].tolist()
        [0.0, 1.0, 2.0, 1.0, 0.0]
    """
    height, width = inner.shape
    # nothing is deeper than half of the short side, and few bits are quick
    limit = min(height, width) // 2 + 1
    kind = np.int16 if 2 * limit * limit < 2**15 else np.int32
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(inner, 0, rows), axis=0)
    below = np.minimum.accumulate(np.where(inner, height - 1, rows)[::-1], axis=0)[::-1]
    column = (np.minimum(np.minimum(rows - above, below - rows), limit) ** 2).astype(kind)
    nearest, sums = column.copy(), np.empty_like(column)
    offset = 1
    while offset * offset < nearest.max(initial=0):
        np.add(column, kind(offset * offset), out=sums)
        np.minimum(nearest[:, :-offset], sums[:, offset:], out=nearest[:, :-offset])
        np.minimum(nearest[:, offset:], sums[:, :-offset], out=nearest[:, offset:])
        offset += 1
    return np.sqrt(nearest, dtype=np.float64)
