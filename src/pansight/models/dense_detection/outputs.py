"""What the dense-detection network says of a batch: the common ground of losses and post-processing."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

STRIDES = (8, 16, 32, 64, 128)
"""of the levels P3..P7; cell (i, j) of stride s stands for pixel (x, y) = (s * j + s // 2, s * i + s // 2)"""

DENSE_STRIDE = 4
"""of the maps from which masks are made; its cells stand for pixels (4 * j + 2, 4 * i + 2)"""


class DenseOutputs(NamedTuple):
    """Raw maps of one batch, for an input of h x w pixels (padded); all floating point, one device.

    Sides of P3 are ceil(h / 8) and so on; h4 and w4 are exactly twice P3's sides, which can exceed h / 4.
    The t thing channels stand for `thing_indices` of the model: contiguous category indices in rising order
    (Cityscapes: 11 to 18); nothing else may be assumed of where things are among the n categories.
    """

    class_logits: tuple[Float[Tensor, "b t _ _"], ...]
    """P3..P7: things only, sigmoid, no background channel"""
    centerness: tuple[Float[Tensor, "b 1 _ _"], ...]
    """P3..P7: logits"""
    offsets: tuple[Float[Tensor, "b 4 _ _"], ...]
    """P3..P7: left, top, right, bottom in input pixels, positive (after scale, cap and exp)"""
    levelness: Float[Tensor, "b 6 h4 w4"] | None
    """logits: background first, then P3..P7; None for a model without levelness"""
    semantic_logits: Float[Tensor, "b n h8 w8"]
    """logits of all categories at the size of P3"""
