"""Time of panoptic quality from COCO panoptic files: ours beside the reference's procedure, on this machine.

    python benchmarks/panoptic_quality.py TRUTH.json PREDICTIONS.json --workers 1 2 --json FILE.json

Times are processor time an image on one core, the best of some rounds. The sides take turns, each in a
process of its own, so that a disturbance hits all and none enjoys what another did to memory. The reference's
procedure is: decode to integers, combine the channels, sort all pixels twice (`np.unique`) for areas and
intersections, match in loops over dictionaries. That all agree is checked.

With `--workers`, images a second by the clock for each number of threads and of processes, warmed up.
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from pansight.categories import Categories
from pansight.formats import inflating
from pansight.formats.coco_files import read_ids
from pansight.metrics.coco_evaluation import score_pairs
from pansight.metrics.coco_pairs import Pair, Paired, pair_files
from pansight.metrics.freed_memory import reuse_freed_memory
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.remarks import EvaluationWarning

Times = dict[str, float]
"""Milliseconds of processor time an image."""

_OFFSET = 1 << 24

_IN_MEMORY = 40
"""So many images are decoded before they are scored from memory."""


class Stopwatch:
    """Adds up processor time by stage."""

    def __init__(self) -> None:
        self.times: Times = defaultdict(float)
        self._last = time.process_time()

    def lap(self, stage: str) -> None:
        """The time since the last lap was spent on this stage."""
        now = time.process_time()
        self.times[stage] += now - self._last
        self._last = now


class ReferenceCounts:
    """What the reference's procedure counts of one category."""

    def __init__(self) -> None:
        self.iou, self.tp, self.fp, self.fn = 0.0, 0, 0, 0

    def quality(self) -> float:
        """Panoptic quality of the category."""
        return self.iou / (self.tp + self.fp / 2 + self.fn / 2)


def reference_ids(path: Path) -> np.ndarray:
    """Decode a picture the usual way."""
    with Image.open(path) as picture:
        return np.array(picture, dtype=np.uint32)


def reference_image(pair: Pair, counts: dict[int, ReferenceCounts], watch: Stopwatch) -> None:
    """Score one image by the reference's procedure."""
    assert pair.truth and pair.prediction
    rgb = [reference_ids(side.picture) for side in (pair.truth, pair.prediction)]
    watch.lap("decode")
    true_map, predicted_map = (c[..., 0] + 256 * c[..., 1] + 65536 * c[..., 2] for c in rgb)
    predicted = {row["id"]: dict(row) for row in pair.prediction.segments_info}
    for id, area in zip(*np.unique(predicted_map, return_counts=True), strict=True):
        if id:
            predicted[int(id)]["area"] = int(area)
    both = true_map.astype(np.uint64) * _OFFSET + predicted_map.astype(np.uint64)
    shared = {
        (int(code) // _OFFSET, int(code) % _OFFSET): int(pixels)
        for code, pixels in zip(*np.unique(both, return_counts=True), strict=True)
    }
    watch.lap("table")
    true = {row["id"]: row for row in pair.truth.segments_info}
    found: set[tuple[int, int]] = set()
    for (t, p), pixels in shared.items():
        if t not in true or p not in predicted or true[t]["iscrowd"]:
            continue
        if true[t]["category_id"] != predicted[p]["category_id"]:
            continue
        union = predicted[p]["area"] + true[t]["area"] - pixels - shared.get((0, p), 0)
        if pixels / union > 0.5:
            counts[true[t]["category_id"]].tp += 1
            counts[true[t]["category_id"]].iou += pixels / union
            found |= {(0, t), (1, p)}
    crowds = {row["category_id"]: id for id, row in true.items() if row["iscrowd"]}
    for id, row in true.items():
        if (0, id) not in found and not row["iscrowd"]:
            counts[row["category_id"]].fn += 1
    for id, row in predicted.items():
        if (1, id) in found:
            continue
        excused = shared.get((0, id), 0)
        if row["category_id"] in crowds:
            excused += shared.get((crowds[row["category_id"]], id), 0)
        if excused / row["area"] <= 0.5:
            counts[row["category_id"]].fp += 1
    watch.lap("match")


def reference_round(paired: Paired) -> tuple[Times, float]:
    """Times by stage and the PQ of all images, by the reference's procedure."""
    counts: dict[int, ReferenceCounts] = defaultdict(ReferenceCounts)
    watch = Stopwatch()
    for pair in paired.pairs:
        reference_image(pair, counts, watch)
    pq = float(np.mean([one.quality() for one in counts.values()]))
    return {"whole": sum(watch.times.values()), **watch.times}, pq


def our_round(paired: Paired) -> tuple[Times, float]:
    """Times of the whole from files, of decoding alone and of scoring what is in memory, and the PQ."""
    start = partial(PanopticQuality, paired.categories, exact=True)
    watch = Stopwatch()
    quality = start()
    for share in score_pairs(paired.pairs, start):
        assert not share.problems
        quality.merge(share.scorer)
    watch.lap("whole")
    sides = [(pair.truth, pair.prediction) for pair in paired.pairs]
    for true, predicted in sides:
        assert true and predicted
        read_ids(true.picture), read_ids(predicted.picture)
    watch.lap("decode")
    for first in range(0, len(sides), _IN_MEMORY):
        part = [
            (true, predicted) for true, predicted in sides[first : first + _IN_MEMORY] if true and predicted
        ]
        maps = [(read_ids(predicted.picture), read_ids(true.picture)) for true, predicted in part]
        watch.lap("again")
        for (true, predicted), (theirs, ours) in zip(part, maps, strict=True):
            quality.update_coco(theirs, predicted.segments_info, ours, true.segments_info)
        watch.lap("memory")
    del watch.times["again"]
    result = quality.compute().all
    assert result
    return dict(watch.times), result.pq


def without_zlib_ng(paired: Paired) -> tuple[Times, float]:
    """Our times where the optional package is missing."""
    inflating._zlib_ng.cache_clear()
    real, inflating._zlib_ng = inflating._zlib_ng, lambda: None  # type: ignore[assignment]
    try:
        return our_round(paired)
    finally:
        inflating._zlib_ng = real


def with_kept_memory(paired: Paired) -> tuple[Times, float]:
    """The reference's procedure in a process that keeps freed memory, as ours does."""
    reuse_freed_memory()
    return reference_round(paired)


SIDES: dict[str, Callable[[Paired], tuple[Times, float]]] = {
    "reference": reference_round,
    "reference, memory kept": with_kept_memory,
    "ours": our_round,
    "ours, without zlib-ng": without_zlib_ng,
}


def serve(name: str, paired: Paired, pipe: Connection) -> None:
    """In a process of its own: a round of one side at each request."""
    warnings.simplefilter("ignore", EvaluationWarning)
    while pipe.recv():
        times, pq = SIDES[name](paired)
        pipe.send(({stage: 1e3 * seconds / len(paired.pairs) for stage, seconds in times.items()}, pq))


def take_turns(paired: Paired, rounds: int) -> dict[str, Times]:
    """The best time of each stage of each side."""
    context = multiprocessing.get_context("spawn")
    best: dict[str, Times] = {name: {} for name in SIDES}
    pipes = {}
    for name in SIDES:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, paired, theirs), daemon=True).start()
        theirs.close()  # else nobody would notice that the process is gone
    answers = set()
    for round_ in range(rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            times, pq = pipe.recv()
            answers.add(round(pq, 12))
            if round_:  # the first round warms caches
                for stage, value in times.items():
                    best[name][stage] = min(value, best[name].get(stage, value))
    for pipe in pipes.values():
        pipe.send(False)
    assert len(answers) == 1, f"the sides disagree: {answers}"
    return best


def rate(paired: Paired, workers: int, processes: bool) -> float:
    """Images a second by the clock, from the first share that is done to the last."""
    pairs = list(paired.pairs) * 2
    start = partial(PanopticQuality, paired.categories, exact=True)
    moments = [(time.perf_counter(), share.pairs) for share in score_pairs(pairs, start, workers, processes)]
    return sum(count for _, count in moments[1:]) / (moments[-1][0] - moments[0][0])


def rates(paired: Paired, numbers: Iterable[int], rounds: int) -> dict[str, float]:
    """The best rate of each number of threads and of processes."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for workers in numbers:
            for processes in (False, True) if workers > 1 else (False,):
                name = f"{workers} {'processes' if processes else 'threads'}" if workers > 1 else "1"
                best[name] = max(best.get(name, 0.0), rate(paired, workers, processes))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, help="so many of them")
    parser.add_argument("--workers", type=int, nargs="*", default=())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paired = pair_files(options.truth, options.predictions)
    if isinstance(paired, list) or paired.problems:
        raise SystemExit("\n".join(paired if isinstance(paired, list) else paired.problems))
    paired = paired._replace(pairs=paired.pairs[: options.images])
    assert isinstance(paired.categories, Categories)

    best = take_turns(paired, options.rounds)
    whole = best["reference"]["whole"]
    print(f"{len(paired.pairs)} images; ms of processor time an image on one core, best of {options.rounds}")
    for name, times in best.items():
        stages = ", ".join(f"{stage} {ms:.2f}" for stage, ms in times.items() if stage != "whole")
        share = times["decode"] / times["whole"]
        print(f"{name:24} {times['whole']:6.2f}  = {times['whole'] / whole:.2f} of the reference  ({stages})")
        print(f"{'':24} {share:6.0%}  of it is decoding")
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "images": len(paired.pairs),
        "ms": best,
        "of_reference": {name: times["whole"] / whole for name, times in best.items()},
        "decoding_share": {name: times["decode"] / times["whole"] for name, times in best.items()},
    }
    if options.workers:
        report["images_per_second"] = rates(paired, options.workers, options.rounds)
        for name, value in report["images_per_second"].items():
            print(f"{name:24} {value:6.1f}  images a second")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
