"""A stream of random choices that is the same on every machine."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")
_BLOCK = 512


class Dice:
    """Random choices drawn from PCG64, seeded by a tuple of non-negative integers.

    Numbers are taken from the generator in blocks, because a single draw through numpy costs more than the
    choice that is made with it.
    """

    __slots__ = ("_generator", "_numbers", "_position")

    def __init__(self, *entropy: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
        self._numbers: list[float] = []
        self._position = 0

    def number(self) -> float:
        """One number, uniform in [0, 1)."""
        if self._position == len(self._numbers):
            self._numbers = self._generator.random(_BLOCK).tolist()
            self._position = 0
        self._position += 1
        return self._numbers[self._position - 1]

    def numbers(self, count: int) -> tuple[float, ...]:
        """`count` numbers, each uniform in [0, 1)."""
        return tuple(self.number() for _ in range(count))

    def between(self, low: float | int, high: float | int) -> float:
        """One number, uniform in [low, high)."""
        return low + (high - low) * self.number()

    def integer(self, low: int, high: int) -> int:
        """One integer of low..high, both ends included."""
        return low + int((high - low + 1) * self.number())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.number() < probability

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.number() < 0.5 else -1

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of the choices, all equally likely."""
        return choices[int(len(choices) * self.number())]
