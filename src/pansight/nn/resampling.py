"""Bilinear upsampling as a product with two thin matrices, so that any tile can be computed by itself.

Worked out in numpy: sizes are known before any tensor is, so exporters see the matrices as constants.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor


class AxisWeights(NamedTuple):
    """For each output position along one axis, the source positions that it mixes."""

    sources: Int64[np.ndarray, "n t"]
    weights: Float32[np.ndarray, "n t"]


def linear_weights(source: int, target: int) -> AxisWeights:
    """`F.interpolate(mode="bilinear", align_corners=False)` from `source` to `target`, along one axis."""
    # float32 as torch: positions round alike
    scale, half = np.float32(source / target), np.float32(0.5)
    position = (np.arange(target, dtype=np.float32) + half) * scale - half
    position = np.maximum(position, np.float32(0))
    low = np.minimum(position.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    fraction = position - low.astype(np.float32)
    return AxisWeights(np.stack((low, high), 1), np.stack((1 - fraction, fraction), 1))


def resize_crop_resize_weights(source: int, padded: int, valid: int, output: int) -> AxisWeights:
    """Three steps in one: upsample `source` to `padded`, keep the first `valid`, resize these to `output`.

    That is how the papers bring quarter-size masks of a padded image to the image's own size. All steps
    are linear, so their product is exact, and the padded size never exists in memory.
    """
    first = linear_weights(source, padded)
    if output == valid:
        return AxisWeights(first.sources[:valid], first.weights[:valid])
    second = linear_weights(valid, output)
    sources = first.sources[second.sources]
    weights = first.weights[second.sources] * second.weights[..., None]
    return AxisWeights(sources.reshape(output, -1), weights.reshape(output, -1))


def band(weights: list[AxisWeights], start: int, stop: int) -> tuple[int, int, Float[Tensor, "b n s"]]:
    """Matrices that make output positions start..stop of each image from source positions low..high.

    An image that ends before `stop` gets rows of zeros. Returns low, high and the matrices, one per image.
    """
    parts = [AxisWeights(t.sources[start:stop], t.weights[start:stop]) for t in weights]
    low = min((int(p.sources.min()) for p in parts if p.sources.size), default=0)
    high = max((int(p.sources.max()) for p in parts if p.sources.size), default=0) + 1
    matrix = np.zeros((len(parts), stop - start, high - low), dtype=np.float32)
    for picture, part in enumerate(parts):
        rows = np.arange(len(part.sources))[:, None]
        np.add.at(matrix[picture], (rows, part.sources - low), part.weights)
    return low, high, torch.from_numpy(matrix)
