"""What the argmax merge determines before masks are dropped: which mask wins each pixel."""

from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor


class Winners(NamedTuple):
    """Winners of a batch. A mask's own region is where its probability is at least one half."""

    codes: Int[Tensor, "b h w"]
    """2 * winner + (1 where the winner's own region is); even, so void, beyond an image's own size"""
    won: Int[Tensor, "b k"]
    """pixels that each mask won"""
    whole: Int[Tensor, "b k"]
    """pixels of its own region"""
    both: Int[Tensor, "b k"]
    """pixels won within its own region"""
