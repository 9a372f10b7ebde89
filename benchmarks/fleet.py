"""An archive labelled by two workers on this machine, while they and the driver are killed.

    python benchmarks/fleet.py --images 2000 --output benchmarks/fleet-2000-large.json
    python benchmarks/fleet.py --images 2000 --size 128 --output benchmarks/fleet-2000.json
    python benchmarks/fleet.py --images 200 --ray-address auto

Renders scenes and labels them with `pansight predict --engine ray`: undisturbed, for the rate beside that of
two independent processes, in turns; once with three workers and the driver killed by SIGKILL, and
called again. Says how many results there are, how many inputs have not exactly one, how many maps differ
from those of one process (`pansight.load`), and how the driver's memory grew.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.dataset
from PIL import Image

from pansight import load
from pansight.panoptic.ids import rgb_to_ids
from pansight.scenes import render_scene

_RUN = "import sys; from pansight.cli.main import run; sys.argv = {!r}; run()"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=512, help="width in pixels")
    parser.add_argument("--model", default="yoso-tiny")
    parser.add_argument("--ray-address", default=None)
    parser.add_argument("--rounds", type=int, default=2, help="turns of the fleet and of two processes")
    parser.add_argument("--skip-rate", action="store_true", help="the disturbed run alone")
    parser.add_argument("--output", type=Path, default=None, help="JSON file")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PANSIGHT_ENGINE", "torch")
    with tempfile.TemporaryDirectory(prefix="pansight-fleet-") as folder:
        figures = run(Path(folder), options)
    text = json.dumps(figures, indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    scenes = folder / "scenes"
    halves = [folder / "half-0", folder / "half-1"]
    for place in (scenes, *halves):
        place.mkdir()
    for number in range(options.images):
        image = Image.fromarray(render_scene(9, number, options.size * 3 // 4, options.size).image)
        image.save(scenes / f"{number:06d}.jpg", quality=92)
        (halves[number % 2] / f"{number:06d}.jpg").symlink_to(scenes / f"{number:06d}.jpg")
    figures: dict[str, Any] = {"images": options.images, "model": options.model, "workers": 2}
    fleet = ["predict", str(scenes), "--engine", "ray", "--model", options.model, "--workers", "2"]
    if options.ray_address:
        fleet += ["--ray-address", options.ray_address]
    if not options.skip_rate:
        figures.update(rates(folder, halves, fleet, options))
    figures.update(disturbed(folder / "disturbed", fleet, options.images))
    figures.update(compared(folder / "disturbed", scenes, options))
    return figures


def start(arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    """`pansight` with these arguments, in a process of its own."""
    code = _RUN.format(["pansight", *arguments])
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)


def rates(
    folder: Path, halves: Sequence[Path], fleet: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Images a second of the fleet and of two processes, which take turns; means over the turns. They are
    counted from the first result to the last: what a start takes says nothing of an archive."""
    by_fleet, by_two = [], []
    memory: list[int] = []
    for turn in range(max(options.rounds, 1)):
        for kind in ("fleet", "two") if turn % 2 == 0 else ("two", "fleet"):
            if kind == "fleet":
                found, seen = undisturbed(folder / f"undisturbed-{turn}", fleet)
                by_fleet.append(found)
                memory = memory or seen
            else:
                by_two.append(two_processes(folder, halves, options.model, turn))
    return {
        "turns": [[round(one, 2), round(two, 2)] for one, two in zip(by_fleet, by_two, strict=True)],
        "fleet_images_a_second": round(fmean(by_fleet), 2),
        "two_processes_images_a_second": round(fmean(by_two), 2),
        "ratio": round(fmean(by_fleet) / fmean(by_two), 3),
        "driver_mb_middle_and_end": [memory[len(memory) // 2], memory[-1]] if memory else [],
    }


def undisturbed(output: Path, fleet: Sequence[str]) -> tuple[float, list[int]]:
    """The rate of the fleet, and the driver's memory by the second, in MB."""
    driver = start([*fleet, "--output", str(output)])
    memory = []
    while driver.poll() is None:
        with suppress(OSError, IndexError):
            pages = Path(f"/proc/{driver.pid}/statm").read_text().split()[1]
            memory.append(int(pages) * os.sysconf("SC_PAGE_SIZE") >> 20)
        time.sleep(1)
    return rate((output / "predictions").rglob("*.png")), memory


def two_processes(folder: Path, halves: Sequence[Path], model: str, turn: int) -> float:
    """The rate of two independent processes, each with half of the images."""
    outputs = [folder / f"{half.name}-out-{turn}" for half in halves]
    settings = ["--model", model, "--format", "coco"]
    alone = [
        start(["predict", str(half), *settings, "--output", str(place)])
        for half, place in zip(halves, outputs, strict=True)
    ]
    for process in alone:
        process.wait()
    return rate(path for place in outputs for path in place.rglob("*.png"))


def rate(files: Iterable[Path]) -> float:
    """Files a second, by the times when they were written."""
    times = sorted(path.stat().st_mtime for path in files)
    return (len(times) - 1) / (times[-1] - times[0])


def disturbed(output: Path, fleet: Sequence[str], images: int) -> dict[str, Any]:
    """Kill three workers, then the driver, spread over the run; then call again."""
    arguments = [*fleet, "--output", str(output)]
    driver = start(arguments)
    killed: list[int] = []
    while driver.poll() is None:
        done = len(list((output / "predictions").rglob("*.png")))
        if done > (len(killed) + 1) * images // 6:
            if len(killed) == 3:
                driver.kill()
                break
            fresh = [worker for worker in at_work(output) if worker not in killed]
            if fresh:
                os.kill(fresh[0], signal.SIGKILL)
                killed.append(fresh[0])
        time.sleep(0.02)
    driver.wait()
    before = len(rows(output))
    code = start(arguments).wait()
    return {"workers_killed": len(killed), "results_when_the_driver_was_killed": before, "exit_code": code}


def at_work(output: Path) -> list[int]:
    """The processes of workers that are at a shard, by the marks that they leave."""
    found = []
    for mark in (output / ".fleet" / "attempts").glob("*--*"):
        with suppress(OSError, IndexError, ValueError):
            found.append(int(mark.read_text().split()[1]))
    return found


def rows(output: Path) -> list[dict[str, Any]]:
    """The index."""
    return list(pyarrow.dataset.dataset(output / "index").to_table().to_pylist())


def compared(output: Path, scenes: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The index against the folder, and the maps against one process."""
    found = rows(output)
    counts = Counter(row["input"] for row in found)
    inputs = [str(path) for path in sorted(scenes.iterdir())]
    segmenter = load(options.model)
    masks = {row["input"]: row["mask"] for row in found}
    differing = 0
    for result in segmenter.stream(inputs):
        assert result.panoptic is not None
        ids = rgb_to_ids(np.asarray(Image.open(output / masks[result.frame])))
        differing += not bool((ids == result.panoptic.ids).all())
    return {
        "results": len(found),
        "inputs_without_exactly_one": sum(counts[one] != 1 for one in inputs)
        + len(set(counts) - set(inputs)),
        "failed": sum(row["status"] == "failed" for row in found),
        "maps_that_differ_from_one_process": differing,
    }


if __name__ == "__main__":
    main()
