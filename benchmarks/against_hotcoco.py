"""Panoptic quality from PNG files by `pansight evaluate` and by hotcoco: time, processor time, peak memory.

    python benchmarks/against_hotcoco.py TRUTH.json PREDICTIONS.json --rounds 7 --json FILE.json

Each call is a process of its own, and the two take turns. `--first N` scores the first N images as well, so
that start-up and time per image can be told apart. That both give the same panoptic quality is checked.
hotcoco: pip install hotcoco (MIT).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

THEIRS = """
import json, sys
from hotcoco import panoptic
result = panoptic.pq_compute(*sys.argv[1:5])
json.dump(result["All"]["pq"], open(sys.argv[5], "w"))
"""


def first(source: Path, images: int, folder: Path) -> Path:
    """The JSON file cut to its first images."""
    content = json.loads(source.read_text(encoding="utf-8"))
    content["annotations"] = sorted(content["annotations"], key=lambda one: one["file_name"])[:images]
    kept = {one["image_id"] for one in content["annotations"]}
    content["images"] = [one for one in content.get("images", []) if one["id"] in kept]
    path = folder / f"{source.stem}-{images}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processors, and the peak memory in MB, of one process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:5])} ended with status {status}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Measure, print, write."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("truth", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--first", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sides = [options.truth.with_suffix(""), options.predictions.with_suffix("")]
    images = len(json.loads(options.truth.read_text(encoding="utf-8"))["annotations"])
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = [first(path, options.first, folder) for path in (options.truth, options.predictions)]
        for side, path in zip(sides, few, strict=True):
            path.with_suffix("").symlink_to(side.resolve())
        sets = {"all": [options.truth, options.predictions], "few": few}
        found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for round_ in range(options.rounds + 1):
            for which, files in sets.items():
                pair = [str(path) for path in files]
                folders = [str(path.with_suffix("")) for path in files]
                answers = {who: folder / f"{who}-{which}.json" for who in ("pansight", "hotcoco")}
                ours = ["evaluate", *pair, "--json", str(answers["pansight"])]
                commands = {
                    "pansight": [sys.executable, "-m", "pansight.cli.main", *ours],
                    "hotcoco": [sys.executable, "-c", THEIRS, *pair, *folders, str(answers["hotcoco"])],
                }
                for who, command in commands.items():
                    spent = run(command)
                    if round_:  # the first round fills caches
                        found.setdefault((who, which), []).append(spent)
                mine = json.loads(answers["pansight"].read_text())["all"]["pq"]
                if abs(mine - json.loads(answers["hotcoco"].read_text())) > 1e-9:
                    raise SystemExit(f"{which}: the two disagree; see {answers}")
        for who in ("pansight", "hotcoco"):
            whole, part = (
                [median(column) for column in zip(*found[who, which], strict=True)]
                for which in ("all", "few")
            )
            per_image = [1e3 * (whole[at] - part[at]) / (images - options.first) for at in (0, 1)]
            report[who] = {
                "seconds": whole[0],
                "cpu_seconds": whole[1],
                "peak_mb": whole[2],
                "ms_per_image": per_image[0],
                "cpu_ms_per_image": per_image[1],
            }
    ours_, theirs = report["pansight"], report["hotcoco"]
    for key in ours_:
        print(f"{key:18}{ours_[key]:10.2f}{theirs[key]:10.2f}   ratio {ours_[key] / theirs[key]:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"images": images, **report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
