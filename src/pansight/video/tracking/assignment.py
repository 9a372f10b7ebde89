"""Who is whom: the assignment of greatest total affinity among the pairs that may be."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

_REFUSED = 1e6
"""Cost of a pair that may not be: one constant, larger than any sum of allowed costs, so that no absurd pair
takes a good one's partner."""


def assign(
    affinity: Float64[np.ndarray, "n m"], allowed: Bool[np.ndarray, "n m"]
) -> tuple[Int64[np.ndarray, "k"], Int64[np.ndarray, "k"]]:
    """Rows and columns of the pairs, each row and column at most once; affinities are 0..1."""
    if not allowed.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = linear_sum_assignment(np.where(allowed, 1.0 - affinity, _REFUSED))
    keep = allowed[rows, columns]
    return rows[keep].astype(np.int64), columns[keep].astype(np.int64)
