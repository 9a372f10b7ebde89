"""The priority merge's inputs, rule and result."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pansight.merging.numbers import Number
from pansight.merging.shares import Share, within

# Room for rounding in the interpolation, relative to the largest value of a window.
SLACK = 1e-5


class Cut(NamedTuple):
    """Which upsampled values belong to a mask."""

    threshold: Number
    inclusive: bool = True
    """whether the threshold itself does"""

    def of(self, values: Float[Tensor, "*s"]) -> Bool[Tensor, "*s"]:
        """True where a value belongs to its mask."""
        return values >= self.threshold if self.inclusive else values > self.threshold


class Stack(NamedTuple):
    """Masks by falling priority, those that are not there last."""

    values: Float[Tensor, "b k h w"]
    """soft masks before upsampling"""
    present: Bool[Tensor, "b k"]
    allowed: Bool[Tensor, "b k"]
    """present masks that may own pixels; the others merely count as covering pixels"""


class Ownership(NamedTuple):
    """Which mask owns each pixel."""

    owners: Int[Tensor, "b h w"]
    """the mask that owns a pixel; k where only dropped masks lie, k + 1 where none does"""
    accepted: Bool[Tensor, "b k"]


def accepted_by_share(
    areas: Int[Tensor, "*n"], lost: Int[Tensor, "*n"], allowed: Bool[Tensor, "*n"], most: Share
) -> Bool[Tensor, "*n"]:
    """Which masks are accepted, by their pixels and how many of these belong to earlier ones."""
    return allowed & (areas > 0) & within(lost, areas, most)
