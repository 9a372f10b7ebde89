"""Whether two tricks that are not obvious pay: networks built without random weights, and kept memory.

    python benchmarks/tricks.py [--json tricks.json]

Processor time, with and without in turn, each in a fresh process, medians. What does not pay here is to go.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

BUILD = """
import sys, time
from pansight.zoo import preset
from pansight.zoo.methods import construct
spec = preset("yoso-r50-coco")
construct("yoso", spec.config.model_copy(update={"depth": 18}), spec.categories, spec.preprocess)  # imports
start = time.process_time()
construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=sys.argv[1] == "with")
print(time.process_time() - start)
"""

DECODE = """
import io, sys, time
import numpy as np
from PIL import Image
from pansight.formats.coco_files import decode_ids
from pansight.metrics.freed_memory import reuse_freed_memory
ids = np.kron(np.random.default_rng(0).integers(0, 60, (30, 40)), np.ones((16, 16), dtype=int))
file = io.BytesIO()
Image.fromarray(np.stack((ids, 0 * ids, 0 * ids), 2).astype(np.uint8)).save(file, "png")
if sys.argv[1] == "with":
    reuse_freed_memory()
decode_ids(file.getvalue(), "x")
start = time.process_time()
for _ in range(200):
    decode_ids(file.getvalue(), "x").astype(np.int64).max()
print((time.process_time() - start) / 200)
"""


def seconds(script: str, how: str) -> float:
    """Of one process."""
    command = [sys.executable, "-c", script, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    """Measure, print and write."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = {}
    for name, script in (("a network's construction", BUILD), ("an id PNG of 640 x 480, decoded", DECODE)):
        times: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(options.rounds):
            for how, found in times.items():
                found.append(seconds(script, how))
        rows[name] = {how: round(1000 * median(found), 2) for how, found in times.items()}
        print(
            f"{name}: {rows[name]['with']} ms with the trick, {rows[name]['without']} ms without", flush=True
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
