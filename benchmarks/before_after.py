"""Two versions of Pansight by stage, interleaved in one run: is anything slower than before?

    git worktree add /tmp/before COMMIT
    python benchmarks/before_after.py --before /tmp/before/src --after src --json before-after.json

Each version runs in a process of its own, and only one works at a time: version, stage and round take
turns, so a disturbance of the machine hits all alike. What counts is the ratio of medians.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

MODELS = ("yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")


def stages_of(name: str, picture: str) -> dict[str, Callable[[], Any]]:
    """What both versions can do, by the calls that both have."""
    import pansight
    from pansight import draw
    from pansight.runtime.images import read_image
    from pansight.zoo import load_model

    image = read_image(picture)
    segmenter = pansight.load(name, device="cpu")
    model = load_model(name).optimized()
    images, sizes = model.preprocess.batch([image])
    outputs = model(images)
    panoptic = segmenter(image)
    return {
        "decode": lambda: read_image(picture),
        "preprocess": lambda: model.preprocess.batch([image]),
        "network": lambda: model(images),
        "merge": lambda: model.merge(outputs, sizes),
        "merge and map": lambda: model.merge(outputs, sizes).to_maps(model.categories, sizes.output),
        "image to map": lambda: segmenter(image),
        "draw": lambda: draw.overlay(image, panoptic),
    }


def serve(picture: str, threads: int) -> None:
    """Measure what is asked for on the standard input: a model and a stage a line; milliseconds come back."""
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode():
        stages = {name: stages_of(name, picture) for name in MODELS}
        print(json.dumps(list(stages[MODELS[0]])), flush=True)
        for line in sys.stdin:
            model, stage = json.loads(line)
            started = time.perf_counter()
            stages[model][stage]()
            print(1e3 * (time.perf_counter() - started), flush=True)


def start(source: Path, picture: Path, threads: int) -> "subprocess.Popen[str]":
    """A process that serves the version whose package lies in `source`."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_WAIT_POLICY": "passive"}
    # whether glibc gives freed memory back hangs on chance, and is worth up to 30 %: never, for both
    environment |= {"MALLOC_TRIM_THRESHOLD_": str(1 << 29), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
    command = [sys.executable, __file__, "--serve", str(picture), "--threads", str(threads)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def ask(process: "subprocess.Popen[str]", *question: str) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="folder that holds the package pansight")
    parser.add_argument("--after", type=Path, default=Path("src"))
    parser.add_argument("--size", default="384x512", help="height x width of the scene")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.threads)
        return
    from PIL import Image

    from pansight.scenes import render_scene

    height, width = (int(side) for side in options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "scene.jpg"
        Image.fromarray(render_scene(0, 0, height, width).image).save(picture, quality=90)
        versions = [start(path, picture, options.threads) for path in (options.before, options.after)]
        stages, _ = (json.loads(process.stdout.readline()) for process in versions if process.stdout)
        times: dict[tuple[str, str, int], list[float]] = {}
        for round_ in range(options.rounds + 1):
            for model in MODELS:
                for stage in stages:
                    order = (0, 1) if round_ % 2 else (1, 0)
                    for version in order:
                        spent = ask(versions[version], model, stage)
                        if round_:  # the first round warms caches
                            times.setdefault((model, stage, version), []).append(spent)
        for process in versions:
            process.communicate()
    report: dict[str, dict[str, Any]] = {}
    print(f"{'':20}{'':16}{'before':>10}{'after':>10}{'ratio':>8}   ms, medians of {options.rounds}")
    for model in MODELS:
        for stage in stages:
            before, after = (median(times[model, stage, version]) for version in (0, 1))
            report.setdefault(model, {})[stage] = {"before": before, "after": after, "ratio": after / before}
            print(f"{model:20}{stage:16}{before:10.2f}{after:10.2f}{after / before:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
