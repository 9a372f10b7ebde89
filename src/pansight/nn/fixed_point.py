"""Greedy decisions in rank order, all at once: repeat a parallel step until nothing changes.

Where decision i depends on earlier decisions only, a step that decides everything from the last answer makes
at least one more decision final each time, so it ends at the one answer that a loop in rank order would give,
after as many rounds as the longest chain of decisions that turn one another; usually a handful.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

# Of graphs and accelerators: chains among overlapping boxes are hardly ever longer than five.
ROUNDS = 16

Decisions = Bool[Tensor, "b n"]


def fixed_point(step: Callable[[Decisions], Decisions], start: Decisions) -> Decisions:
    """The answer, looked for until it is found: the host looks at the result of every round."""
    # each step makes one more decision final, so that many rounds always suffice
    for _ in range(start.shape[1] + 1):
        before, start = start, step(start)
        if torch.equal(before, start):
            break
    return start


def bounded_fixed_point(
    step: Callable[[Decisions], Decisions], start: Decisions, rounds: int = ROUNDS
) -> tuple[Decisions, Bool[Tensor, " b"]]:
    """The answer after rounds whose number does not depend on the data, and where it was not reached."""
    rounds = min(rounds, start.shape[1])
    before = start
    for _ in range(rounds):
        before, start = start, step(start)
    unsettled = (before != start).any(1)
    if rounds == start.shape[1]:
        unsettled = torch.zeros_like(unsettled)
    return start, unsettled
