"""Comparing shares of pixel counts with a threshold, exactly and without 64-bit numbers."""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

# Of the denominator: thresholds of up to six decimals are exact.
PARTS = 1_000_000
# Counts are multiplied digit by digit; both numbers of a share stay below LIMIT so that no product of one of
# them and a digit leaves 31 bits.
DIGIT = 256
LIMIT = 1 << 22


class Share(NamedTuple):
    """A threshold as numerator / denominator."""

    numerator: int | Tensor
    denominator: int | Tensor

    @classmethod
    def least(cls, threshold: float) -> "Share":
        """For what must reach a threshold (0..); beyond six decimals it is rounded down.

        Above 4 there are fewer decimals, and what is above four million counts as four million.
        """
        return cls._rounded(threshold, up=False)

    @classmethod
    def most(cls, threshold: float) -> "Share":
        """For what must not exceed a threshold (0..1); beyond six decimals it is rounded up."""
        return cls._rounded(threshold, up=True)

    @classmethod
    def _rounded(cls, threshold: float, *, up: bool) -> "Share":
        exact = Fraction(Decimal(repr(float(threshold))))
        denominator = PARTS
        while denominator > 1 and exact * denominator >= LIMIT:
            denominator //= 10
        scaled = exact * denominator
        numerator = -(-scaled.numerator // scaled.denominator) if up else int(scaled)
        return cls(min(numerator, LIMIT - 1), denominator)


def reaches(part: Int[Tensor, "*n"], whole: Int[Tensor, "*n"], share: Share) -> Bool[Tensor, "*n"]:
    """Whether part / whole >= share, of counts below 2^31; where both are 0, true."""
    return _at_least(part, share.denominator, whole, share.numerator)


def within(part: Int[Tensor, "*n"], whole: Int[Tensor, "*n"], share: Share) -> Bool[Tensor, "*n"]:
    """Whether part / whole <= share, of counts below 2^31; where both are 0, true."""
    return _at_least(whole, share.numerator, part, share.denominator)


def _at_least(
    a: Int[Tensor, "*n"], times_a: int | Tensor, b: Int[Tensor, "*n"], times_b: int | Tensor
) -> Bool[Tensor, "*n"]:
    """a * times_a >= b * times_b."""
    (high, low), (other_high, other_low) = _product(a, times_a), _product(b, times_b)
    return (high > other_high) | ((high == other_high) & (low >= other_low))


def _product(count: Int[Tensor, "*n"], times: int | Tensor) -> tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]]:
    """count * times as multiples of 2^24, and the rest."""
    count = count.int()
    carry, low, weight = torch.zeros_like(count), torch.zeros_like(count), 1
    for _ in range(3):
        rest = torch.div(count, DIGIT, rounding_mode="trunc")
        total = (count - rest * DIGIT) * times + carry
        carry = torch.div(total, DIGIT, rounding_mode="trunc")
        low = low + (total - carry * DIGIT) * weight
        count, weight = rest, weight * DIGIT
    return count * times + carry, low
