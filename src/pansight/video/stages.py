"""What each stage of a pipeline costs, in bounded memory."""

import threading
from collections import deque
from typing import Any

import numpy as np

STAGES = ("decode", "segment", "track", "draw", "write", "latency")
"""Of a frame: decoding; its share of a batch in network and merge; identities; drawing; all sinks; and from
capture to the last of them."""

_KEPT = 4096
"""Newest frames that percentiles are of."""


class StageTimes:
    """Seconds by stage, of the newest frames; threads may add at once."""

    def __init__(self) -> None:
        self._times = {stage: deque[float](maxlen=_KEPT) for stage in STAGES}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Note what a frame cost in a stage."""
        with self._lock:
            self._times[stage].append(seconds)

    def percentile(self, stage: str, share: float) -> float | None:
        """Seconds that `share` per cent of the frames stay below; None where there were none."""
        with self._lock:
            times = list(self._times[stage])
        return float(np.percentile(times, share)) if times else None

    def to_json(self) -> dict[str, Any]:
        """p50 and p95 of each stage, in seconds."""
        shares = {"p50": 50.0, "p95": 95.0}
        return {
            stage: {name: self.percentile(stage, share) for name, share in shares.items()} for stage in STAGES
        }
