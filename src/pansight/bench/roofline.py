"""What this machine can do at best, measured alongside what is benchmarked: a matrix product and a copy."""

import time

import torch

SIDE = 1024
"""of the matrices: large enough for any processor's or GPU's full rate, done in tens of milliseconds"""

COPIED = 1 << 26
"""bytes of the copy: beyond every cache"""


class Roofline:
    """Best rates seen so far; measure again in every round, for clocks and neighbours change."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        generator = torch.Generator().manual_seed(0)
        self._left = torch.rand(SIDE, SIDE, generator=generator).to(self.device)
        self._source = torch.zeros(COPIED // 4, device=self.device)
        self._target = torch.empty_like(self._source)
        self.macs_per_second = 0.0
        self.bytes_per_second = 0.0

    def measure(self) -> None:
        """One product and one copy."""
        product = self._seconds(lambda: self._left @ self._left)
        self.macs_per_second = max(self.macs_per_second, SIDE**3 / product)
        copy = self._seconds(lambda: self._target.copy_(self._source))
        # read once, written once
        self.bytes_per_second = max(self.bytes_per_second, 2 * COPIED / copy)

    def _seconds(self, work: object) -> float:
        assert callable(work)
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
