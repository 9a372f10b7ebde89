"""Where the pruned merges spend their time, and what they hold: 100 masks at three sizes of the map.

    python benchmarks/merge_profile.py [--max-memory 512MB] [--json FILE.json]

Processor time on one thread, the best of three, and by function (`cProfile` of one more). Peak memory is
that of a process of its own, less what it had before. Masks are soft discs, half of them overlapping, and a
band of noise in which no tile is settled.
"""

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pansight.merging import Candidates, PriorityRule, SoftMasks, merge_by_argmax, merge_by_priority
from pansight.merging.semantics import semantic_argmax
from pansight.merging.settings import as_bytes
from pansight.merging.sizes import Sizes

MASKS = 100
SIZES = ((512, 800), (1024, 2048), (4000, 5000))
INPUT = {(512, 800): (512, 800), (1024, 2048): (1024, 2048), (4000, 5000): (800, 1000)}
"""of the network, for each size of the map: the largest is an image that was shrunk"""


def discs(size: tuple[int, int]) -> torch.Tensor:
    """Distances to the edge of MASKS discs, on a quarter of the input."""
    generator = torch.Generator().manual_seed(0)
    height, width = size[0] // 4, size[1] // 4
    y, x = torch.arange(height)[:, None], torch.arange(width)
    masks = []
    for _ in range(MASKS):
        place = torch.rand(3, generator=generator) * torch.tensor([height, width, height / 5])
        a, b, radius = place.tolist()
        masks.append(radius + 3 - ((y - a) ** 2 + (x - b) ** 2).sqrt())
    found = torch.stack(masks).clamp(-9, 9) + 0.1 * torch.randn(MASKS, height, width, generator=generator)
    band = slice(height // 3, height // 3 + 8)
    found[:, band] = torch.randn(MASKS, 8, width, generator=generator)
    return found[None]


def cases(output: tuple[int, int], ceiling: int | None) -> dict[str, Callable[[], Any]]:
    """Merges of one size."""
    size = INPUT[output]
    sizes = Sizes(size, [size], [output])
    logits = discs(size)
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(1, MASKS, generator=generator)
    kinds = torch.randint(0, 40, (1, MASKS), generator=generator)
    things = torch.arange(40) < 20
    kept = torch.ones(1, MASKS, dtype=torch.bool)
    candidates = Candidates(logits, scores, kinds, kept)
    masks = SoftMasks(logits.sigmoid(), scores, kinds % 20, kept)
    rule = PriorityRule(0.5, True, 0.5, 4096)
    noise = torch.randn(1, 20, *logits.shape[2:], generator=generator)
    stuff = torch.nn.functional.avg_pool2d(noise, 9, 1, 4)
    labels = torch.full((1, *output), 25, dtype=torch.int32)
    return {
        "argmax": lambda: merge_by_argmax(
            candidates, sizes, things, 0.3, MASKS, "pruned", max_memory=ceiling
        ),
        "priority": lambda: merge_by_priority(
            masks, labels, sizes, things, rule, "pruned", max_memory=ceiling
        ),
        "semantics": lambda: semantic_argmax(stuff, sizes, "pruned", ceiling),
    }


def best(work: Callable[[], Any]) -> float:
    """Milliseconds of processor time."""
    found = []
    for _ in range(3):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return 1000 * min(found)


def profile(work: Callable[[], Any]) -> list[tuple[str, float]]:
    """The five dearest functions, each with its share of the time."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats: Any = pstats.Stats(profiler)
    rows = [
        (f"{file.rpartition('/')[2]}:{name}" if line else name, own)
        for (file, line, name), (_, _, own, _, _) in stats.stats.items()
    ]
    return [(name, own / stats.total_tt) for name, own in sorted(rows, key=lambda row: -row[1])[:5]]


def peak(output: tuple[int, int], name: str, ceiling: int | None) -> float:
    """Megabytes that a merge adds in a fresh process."""
    code = f"from merge_profile import measure; measure({output}, {name!r}, {ceiling})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0]
    )
    return float(done.stdout)


def measure(output: tuple[int, int], name: str, ceiling: int | None) -> None:
    """Print megabytes; for a process of its own."""
    torch.set_num_threads(1)
    work = cases(output, ceiling)[name]
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    work()
    print(resident("VmHWM") - before)


def resident(key: str) -> float:
    """Megabytes of this process: now (VmRSS), at most (VmHWM); `ru_maxrss` begins with its parent's."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-memory", type=as_bytes)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for output in SIZES:
        for name, work in cases(output, arguments.max_memory).items():
            row: dict[str, Any] = {
                "size": list(output),
                "merge": name,
                "ms": round(best(work), 1),
                "peak_mb": round(peak(output, name, arguments.max_memory), 1),
                "dearest": [[function, round(share, 3)] for function, share in profile(work)],
            }
            rows.append(row)
            dearest = ", ".join(f"{function} {share:.0%}" for function, share in row["dearest"])
            print(f"{output[0]}x{output[1]} {name}: {row['ms']} ms, {row['peak_mb']} MB; {dearest}")
    if arguments.json:
        found = {"masks": MASKS, "max_memory": arguments.max_memory, "rows": rows}
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
