"""Memory and time of EPSNet's cross-layer attention: fused, and written out as the formula has it.

    python benchmarks/epsnet_attention.py --threads 1 --json attention.json

At an input of 550 x 550, P3 has 4,761 positions that attend to 4,761, 1,225 and 324; at 1024 x 1024 they are
16,384 that attend to 16,384, 4,096 and 1,024. The literal form makes each map of attention whole, does the
query and output convolutions once a source and adds P3 to take it off again, as the released code does. Both
forms take turns in one process, so that their ratio means something on a machine that does other work, too;
memory is what a process of its own needs at most beyond its inputs (Linux).
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from pansight.models.epsnet.features import Levels
from pansight.models.epsnet.fusion import CrossLayerAttention

SIZES = {550: (69, 35, 18), 1024: (128, 64, 32)}
"""sides of P3, P4 and P5 by the input's"""


def literal(attention: CrossLayerAttention, levels: Levels) -> Tensor:
    """Equations 5 to 7 one after the other."""
    target = levels[0]
    total = target
    for source in levels[: attention.sources]:
        query = attention.query_conv(target).flatten(2).transpose(1, 2)
        weights = torch.bmm(query, attention.key_conv(source).flatten(2)).softmax(2)
        values = attention.value_conv(source).flatten(2)
        answer = torch.bmm(values, weights.transpose(1, 2)).unflatten(2, target.shape[2:])
        total = total + (attention.out_conv(answer) + target) - target
    return total


def parts(size: int) -> tuple[dict[str, Callable[[], Tensor]], int]:
    """Both forms, ready to be called, and how many positions attend."""
    torch.manual_seed(0)
    attention = CrossLayerAttention(256, 128, 3).eval()
    levels = tuple(torch.randn(1, 256, side, side).relu() / 4 for side in SIZES[size])
    return {
        "fused": lambda: attention(levels),
        "literal": lambda: literal(attention, levels),
    }, SIZES[size][0] ** 2


def peak(size: int, form: str) -> int:
    """Megabytes that a form needs at most, beyond the inputs, in this process."""
    forms, _ = parts(size)
    before = _high_water()
    forms[form]()
    return (_high_water() - before) // 1024


def _high_water() -> int:
    """The most kilobytes that this process ever held; unlike getrusage's not also its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", nargs=2, metavar=("SIZE", "FORM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak(int(options.peak[0]), options.peak[1]))
        return
    rows = []
    for size in SIZES:
        forms, positions = parts(size)
        difference = float((forms["fused"]() - forms["literal"]()).abs().max())
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(options.rounds):
            for name, run in forms.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        memory = {name: _peak_elsewhere(size, name, options.threads) for name in forms}
        ratios = [whole / fused for fused, whole in zip(times["fused"], times["literal"], strict=True)]
        row = {
            "size": size,
            "positions": positions,
            "milliseconds": {name: round(1e3 * median(each)) for name, each in times.items()},
            "megabytes": memory,
            "literal_over_fused_time": round(median(ratios), 2),
            "literal_over_fused_memory": round(memory["literal"] / max(1, memory["fused"]), 1),
            "largest_difference": difference,
        }
        rows.append(row)
        print(
            f"{size} x {size}, {positions:,} positions: "
            f"fused {row['milliseconds']['fused']} ms, {memory['fused']} MB; "  # type: ignore[index]
            f"literal {row['milliseconds']['literal']} ms, {memory['literal']} MB; "  # type: ignore[index]
            f"literal / fused: time {row['literal_over_fused_time']}, "
            f"memory {row['literal_over_fused_memory']} (they differ by {difference:.0e} at most)"
        )
    if options.json:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        report = {**machine, "threads": options.threads, "rounds": options.rounds, "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _peak_elsewhere(size: int, form: str, threads: int) -> int:
    command = [sys.executable, __file__, "--threads", str(threads), "--peak", str(size), form]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
