"""Shares are compared exactly, in 32-bit integers."""

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from pansight.merging.shares import Share, reaches, within

COUNTS = st.integers(0, (1 << 28) - 1)


@given(part=COUNTS, whole=COUNTS, parts=st.integers(0, 10_000))
def test_four_decimals_are_exact(part: int, whole: int, parts: int) -> None:
    threshold = float(Fraction(parts, 10_000))
    one, other = torch.tensor([part], dtype=torch.int32), torch.tensor([whole], dtype=torch.int32)
    exact = Fraction(parts, 10_000)
    assert bool(reaches(one, other, Share.least(threshold))) == (part >= exact * whole)
    assert bool(within(one, other, Share.most(threshold))) == (part <= exact * whole)


@given(whole=st.integers(1, (1 << 28) - 1), parts=st.integers(0, 10_000))
def test_a_share_of_just_the_threshold_passes_both(whole: int, parts: int) -> None:
    """Also for shares that are no double, as 0.7 is none."""
    whole = whole // 10_000 * 10_000
    part = torch.tensor([whole // 10_000 * parts], dtype=torch.int32)
    all_of_it = torch.tensor([whole], dtype=torch.int32)
    threshold = parts / 10_000
    assert reaches(part, all_of_it, Share.least(threshold))
    assert within(part, all_of_it, Share.most(threshold))
    if parts and whole:
        assert not reaches(part - 1, all_of_it, Share.least(threshold))
        assert not within(part, all_of_it - 1, Share.most(threshold))


@given(part=st.integers(0, 5000), whole=st.integers(1, 5000))
def test_decides_as_doubles_do(part: int, whole: int) -> None:
    """Which divide counts to the nearest double, and read the threshold as the nearest double."""
    one, other = torch.tensor([part]), torch.tensor([whole])
    for threshold in (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.85, 1.0, 2.5, 8.01):
        assert bool(reaches(one, other, Share.least(threshold))) == (part / whole >= threshold)
        if threshold <= 1:
            assert bool(within(one, other, Share.most(threshold))) == (part / whole <= threshold)


def test_what_decimals_cannot_say_passes_where_it_is_reached() -> None:
    """One third is rounded in the direction in which a share of one third passes."""
    one, three = torch.tensor([1 << 20]), torch.tensor([3 << 20])
    assert reaches(one, three, Share.least(1 / 3))
    assert within(one, three, Share.most(1 / 3))
    assert not reaches(one - 200, three, Share.least(1 / 3))
    assert not within(one + 400, three, Share.most(1 / 3))


def test_shares_far_above_one() -> None:
    won = torch.tensor([1 << 27])
    assert not reaches(won, torch.tensor([2000]), Share.least(1e9))
    assert reaches(won, torch.tensor([1]), Share.least(131071.0))


def test_a_threshold_may_be_an_input_of_a_graph() -> None:
    for threshold in (0.0, 0.3, 0.7, 0.8, 1.0, 8.01):
        inside = Share.least(torch.tensor(threshold))
        assert (int(inside.numerator), inside.denominator) == tuple(Share.least(threshold))
