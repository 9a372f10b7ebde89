"""How long to wait before a source is asked again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double from `first` to `longest` seconds, each shortened at random by up to `jitter` of it.

    The jitter keeps a hundred cameras that lost one switch from coming back in the same instant.

    >>> [round(Backoff(jitter=0.0).wait(attempt), 1) for attempt in range(5)]
    [0.5, 1.0, 2.0, 4.0, 8.0]
    """

    first: float = 0.5
    longest: float = 15.0
    jitter: float = 0.5

    def wait(self, attempt: int, draw: float | None = None) -> float:
        """Seconds before attempt `attempt` (from 0); `draw` 0..1 in place of a random number."""
        full = min(self.longest, self.first * 2 ** min(attempt, 32))
        return full * (1 - self.jitter * (random.random() if draw is None else draw))
