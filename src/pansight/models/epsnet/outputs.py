"""What the network says of a batch."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

ANCHORS = 3
"""a cell"""


class EPSNetOutputs(NamedTuple):
    """Predictions of all anchors of P3..P7 (a of them), prototypes and semantic logits."""

    boxes: Float[Tensor, "b a 4"]
    """offsets to the anchors, coded"""
    class_logits: Float[Tensor, "b a t1"]
    """background first, then things"""
    coefficients: Float[Tensor, "b a k"]
    """of the prototypes, -1..1"""
    prototypes: Float[Tensor, "b k hp wp"]
    """>= 0; at twice the resolution of P3"""
    semantic_logits: Float[Tensor, "b s hs ws"]
    """unlabelled, then stuff, then 'other' (all things); as large as the prototypes that they combine, or as
    P3 where a 1x1 convolution makes them: losses and maps upsample them once, from there"""
    anchors: Float[Tensor, "a 4"]
    """centre x, y, width, height, as shares of the input's sides"""
