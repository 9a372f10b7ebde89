"""What a fresh process pays: seconds from its start to the first map, and its peak memory.

python -m pansight.bench.startup '{"subject": {...}, "image": "frame.npy"}'
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from pansight.bench.subjects import Subject
from pansight.errors import PansightError


class StartUp(NamedTuple):
    """Of one subject in a process of its own."""

    seconds: float
    """imports, loading and the first map"""
    peak_memory_mb: float
    """resident memory at its peak, of three maps"""


def measure_start_up(subject: Subject, image: Path) -> StartUp:
    """Start a process, let it make maps, and ask what that took. Raises PansightError when it fails."""
    question = json.dumps({"subject": subject.to_json(), "image": str(image)})
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pansight.bench.startup", question],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise PansightError(f"{subject.model} on {subject.engine} fails in a separate process: {lines[-1]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    # both processes read the same clock of the machine
    return StartUp(answer["first_map"] - started, answer["peak_memory_mb"])


def _main(question: str) -> None:
    import resource

    import numpy as np

    content = json.loads(question)
    engine = Subject(**content["subject"]).open()
    image = np.load(content["image"])
    first = None
    for _ in range(3):
        batch = engine([image])
        batch.to_maps(engine.spec.categories, [image.shape[:2]])
        first = first or time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # kilobytes on Linux, bytes on macOS
    print(
        json.dumps({"first_map": first, "peak_memory_mb": peak / (1e6 if sys.platform == "darwin" else 1e3)})
    )


if __name__ == "__main__":
    _main(sys.argv[1])
