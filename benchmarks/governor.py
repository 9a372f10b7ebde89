"""What the governor of `predict --fps` gives up: panoptic quality and time at each of its steps.

    python benchmarks/governor.py --models yoso-tiny epsnet-tiny --scenes 100 --json benchmarks/governor.json

On scenes that no training saw; models and steps take turns scene by scene, so that a disturbance hits all.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import pansight
from pansight.metrics import PanopticQuality
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene
from pansight.video.governor import Adjustable, Step, steps_for

SEED = 4_200_001
SIZE = (384, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=["yoso-tiny", "panoptic-fcn-tiny", "epsnet-tiny", "dense-tiny"]
    )
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/governor.json"))
    options = parser.parse_args()
    ways: dict[tuple[str, Step], Segmenter] = {}
    first = render_scene(SEED, 0, *SIZE)
    for name in options.models:
        engine = pansight.load(name, engine="torch", device="cpu").engine
        assert isinstance(engine, Adjustable)
        for step in steps_for(engine, first.image)[0]:
            ways[name, step] = Segmenter(engine.adjusted(step.side, step.stages))
    quality = {way: PanopticQuality(segmenter.categories) for way, segmenter in ways.items()}
    times: dict[tuple[str, Step], list[float]] = {way: [] for way in ways}
    for number in range(options.scenes):
        scene = render_scene(SEED, number, *SIZE)
        for way, segmenter in ways.items():
            started = time.perf_counter()
            found = segmenter.predict(scene.image)
            times[way].append(1000 * (time.perf_counter() - started))
            quality[way].update(found, scene.panoptic)
    rows: list[dict[str, Any]] = []
    for (name, step), one in quality.items():
        pq = one.compute().all
        assert pq is not None
        row: dict[str, Any] = {
            "model": name,
            "step": str(step),
            "pq": round(100 * pq.pq, 2),
            "ms": round(median(times[name, step]), 1),
        }
        full = next((other for other in rows if other["model"] == name), row)
        row |= {"time": round(row["ms"] / full["ms"], 2), "lost": round(full["pq"] - row["pq"], 2)}
        rows.append(row)
        print(
            f"{name:18} {row['step']:32} PQ {row['pq']:5.1f} ({-row['lost']:+.1f})  {row['ms']:6.1f} ms "
            f"({row['time']:.2f})",
            flush=True,
        )
    content = {"seed": SEED, "scenes": options.scenes, "size": list(SIZE), "rows": rows}
    options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
