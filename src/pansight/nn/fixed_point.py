"""Greedy decisions in rank order, all at once: repeat a parallel step until nothing changes.

Where decision i depends on earlier decisions only, a step that decides everything from the last answer makes
at least one more decision final each time, so it ends at the one answer that a loop in rank order would give,
after as many rounds as the longest chain of decisions that turn one another; usually a handful.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

# Steps between two looks at the result: each look makes the host wait for an accelerator.
STEPS_BETWEEN_LOOKS = {"cpu": 1}
STEPS_BETWEEN_LOOKS_ELSEWHERE = 4

Decisions = Bool[Tensor, "b n"]


def settle(step: Callable[[Decisions], Decisions], start: Decisions) -> Decisions:
    """The fixed point of `step`, in which decision i must depend on decisions before i alone.

    Compiled and exported graphs get a `torch.while_loop`, which looks on the device.
    """
    if torch.compiler.is_compiling():
        return _settle_in_graph(step, start)
    steps = STEPS_BETWEEN_LOOKS.get(start.device.type, STEPS_BETWEEN_LOOKS_ELSEWHERE)
    # each step makes one more decision final, so that many rounds always suffice
    for _ in range(0, start.shape[1] + steps, steps):
        before = start
        for _ in range(steps):
            before, start = start, step(start)
        if torch.equal(before, start):
            break
    return start


def _settle_in_graph(step: Callable[[Decisions], Decisions], start: Decisions) -> Decisions:
    def unsettled(now: Tensor, before: Tensor) -> Tensor:
        return (now != before).any()

    def advance(now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return step(now), now.clone()

    settled: Tensor = torch.while_loop(unsettled, advance, (step(start), start.clone()))[0]
    return settled
