"""Comparing shares of pixel counts with a threshold, exactly and without 64-bit numbers."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pansight.merging.numbers import Number

# Of the denominator: thresholds of up to four decimals are exact.
PARTS = 10_000
# Counts are multiplied in two halves: one of 14 bits, and what is above it.
HALF = 1 << 14
# No number of a share, times a half of a count below 2^28, leaves 31 bits.
LIMIT = 1 << 17


_SLACK = 1e-12


class Share(NamedTuple):
    """A threshold as numerator / denominator."""

    numerator: "int | Tensor"
    denominator: int

    @classmethod
    def least(cls, threshold: Number) -> "Share":
        """For what must reach a threshold (0..); beyond four decimals it is rounded down.

        Above 13 there are fewer decimals, and what is above 131071 counts as that.
        """
        return cls._rounded(threshold, up=False)

    @classmethod
    def most(cls, threshold: Number) -> "Share":
        """For what must not exceed a threshold (0..1); beyond four decimals it is rounded up."""
        return cls._rounded(threshold, up=True)

    @classmethod
    def _rounded(cls, threshold: Number, *, up: bool) -> "Share":
        if isinstance(threshold, Tensor):  # of a graph: to the nearest, up to 13
            return cls((threshold * PARTS + 0.5).to(torch.int32).clamp(0, LIMIT - 1), PARTS)
        denominator = PARTS
        while denominator > 1 and float(threshold) * denominator >= LIMIT:
            denominator //= 10
        # the decimal that was meant, not the double nearest to it: products of doubles are off by 1e-16
        scaled = float(threshold) * denominator
        numerator = math.ceil(scaled * (1 - _SLACK)) if up else math.floor(scaled * (1 + _SLACK))
        return cls(min(numerator, LIMIT - 1), denominator)


def reaches(part: Int[Tensor, "*n"], whole: Int[Tensor, "*n"], share: Share) -> Bool[Tensor, "*n"]:
    """Whether part / whole >= share, of counts below 2^28; where both are 0, true."""
    return _at_least(_product(part, share.denominator), _product(whole, share.numerator))


def within(part: Int[Tensor, "*n"], whole: Int[Tensor, "*n"], share: Share) -> Bool[Tensor, "*n"]:
    """Whether part / whole <= share, of counts below 2^28; where both are 0, true."""
    return _at_least(_product(whole, share.numerator), _product(part, share.denominator))


def _product(count: Int[Tensor, "*n"], times: "int | Tensor") -> tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]]:
    """count * times: how many HALF, and the rest."""
    count = count.to(torch.int32)
    high = torch.div(count, HALF, rounding_mode="trunc")
    low = (count - high * HALF) * times
    carry = torch.div(low, HALF, rounding_mode="trunc")
    return high * times + carry, low - carry * HALF


def _at_least(
    a: tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]], b: tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]]
) -> Bool[Tensor, "*n"]:
    return (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] >= b[1]))
