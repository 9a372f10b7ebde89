"""Bilinear enlargement as a product with two thin matrices, so that any tile can be had by itself."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Taps(NamedTuple):
    """For each output position along one axis, the source positions that it mixes."""

    sources: Int[Tensor, "n t"]
    weights: Float[Tensor, "n t"]


def linear_taps(source: int, target: int) -> Taps:
    """`F.interpolate(mode="bilinear", align_corners=False)` from `source` to `target`, along one axis."""
    position = (torch.arange(target, dtype=torch.float32) + 0.5) * (source / target) - 0.5
    position = position.clamp(min=0)
    low = position.long().clamp(max=source - 1)
    high = (low + 1).clamp(max=source - 1)
    fraction = position - low
    return Taps(torch.stack((low, high), 1), torch.stack((1 - fraction, fraction), 1))


def resize_crop_resize_taps(source: int, padded: int, valid: int, output: int) -> Taps:
    """Three steps in one: enlarge `source` to `padded`, keep the first `valid`, resize these to `output`.

    That is how the papers bring quarter-size masks of a padded picture to the picture's own size. All steps
    are linear, so their product is exact, and the padded size never exists in memory.
    """
    first = linear_taps(source, padded)
    if output == valid:
        return Taps(first.sources[:valid], first.weights[:valid])
    second = linear_taps(valid, output)
    index = first.sources[second.sources].flatten(1)
    weight = (first.weights[second.sources] * second.weights[..., None]).flatten(1)
    return Taps(index, weight)


def band(taps: list[Taps], start: int, stop: int) -> tuple[int, int, Float[Tensor, "b n s"]]:
    """Matrices that make output positions start..stop of each picture from source positions low..high.

    A picture that ends before `stop` gets rows of zeros. Returns low, high and the matrices, one a picture.
    """
    parts = [Taps(t.sources[start:stop], t.weights[start:stop]) for t in taps]
    low = min((int(p.sources.min()) for p in parts if p.sources.numel()), default=0)
    high = max((int(p.sources.max()) for p in parts if p.sources.numel()), default=0) + 1
    matrix = torch.zeros(len(parts), stop - start, high - low)
    for picture, part in enumerate(parts):
        matrix[picture, : len(part.sources)].scatter_add_(1, part.sources - low, part.weights)
    return low, high, matrix
