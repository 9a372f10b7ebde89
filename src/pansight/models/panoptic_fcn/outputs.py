"""What the network says of a batch."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

STRIDES = (8, 16, 32, 64, 128)
"""of P3..P7; sides are halved rounding up"""
FEATURE_STRIDE = 4


class PanopticFCNOutputs(NamedTuple):
    """Maps of P3..P7, fine to coarse, and the encoded feature; all of the padded input."""

    things: tuple[Float[Tensor, "b t _ _"], ...]
    """logits: an object of this class has its position here"""
    stuff: tuple[Float[Tensor, "b s _ _"], ...]
    """logits of the semantic classes; the first is "thing" if the configuration says so"""
    kernels: tuple[Float[Tensor, "b c _ _"], ...]
    """not yet embedded"""
    features: Float[Tensor, "b d h4 w4"]
    """the encoded feature, >= 0"""
