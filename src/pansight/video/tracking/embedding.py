"""Association by embedding: the vector a method has for each object points where it pointed before.

That is YOSO's mask kernel, Panoptic FCN's thing kernel and EPSNet's mask coefficients. Nothing was trained
for it, and what all objects of a model have in common says nothing: it is taken off first.
"""

import numpy as np
from jaxtyping import Float64

KEEP = 0.8
"""Of a track's embedding, how much stays when it is seen again (Clip-PanoFCN's rule)."""

_MEAN_KEEP = 0.95


class CommonPart:
    """The running mean of all embeddings of a stream."""

    def __init__(self) -> None:
        self._mean: Float64[np.ndarray, "d"] | None = None

    def removed(self, embeddings: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
        """The embeddings less what they have in common, of length 1 (0 where there is none)."""
        present = np.abs(embeddings).sum(1) > 0
        if not present.any():
            return embeddings
        unit = _unit(embeddings)
        mean = unit[present].mean(0)
        self._mean = mean if self._mean is None else _MEAN_KEEP * self._mean + (1 - _MEAN_KEEP) * mean
        return _unit(np.where(present[:, None], unit - self._mean, 0.0))


def similarity(
    tracks: Float64[np.ndarray, "n d"], segments: Float64[np.ndarray, "m d"]
) -> Float64[np.ndarray, "n m"]:
    """Cosine of each pair, negative ones 0; NaN where one of them has no embedding."""
    result = (tracks @ segments.T).clip(min=0)
    missing = (np.abs(tracks).sum(1) == 0)[:, None] | (np.abs(segments).sum(1) == 0)[None]
    return np.where(missing, np.nan, result)


def blended(
    before: Float64[np.ndarray, "n d"], seen: Float64[np.ndarray, "n d"]
) -> Float64[np.ndarray, "n d"]:
    """A track's embedding after it was seen again."""
    there, known = np.abs(seen).sum(1) > 0, np.abs(before).sum(1) > 0
    mixed = np.where(known[:, None], KEEP * before + (1 - KEEP) * seen, seen)
    return _unit(np.where(there[:, None], mixed, before))


def _unit(vectors: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-12)
