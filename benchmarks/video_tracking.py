"""What each part of the tracker is worth: VPQ, STQ and switches of identity on clips that nobody trained on.

    python benchmarks/video_tracking.py --models yoso-tiny --clips 40 --frames 12 --size 128 192

Each model segments all clips once; every row then tracks the same maps. `oracle` gives each thing the id of
the true object that it overlaps most: no association can do better on these maps. Writes JSON and prints a
table. Ctrl-C keeps the models that are finished.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import pansight
from pansight.categories import Categories
from pansight.metrics import VideoEvaluation
from pansight.metrics.overlaps import count_overlaps
from pansight.panoptic import PanopticMap
from pansight.scenes import render_clip
from pansight.video.tracking import Tracker, TrackSettings

SEED = 4_000_001
"""Clips that no training and no setting was chosen by."""

ROWS: dict[str, TrackSettings | None] = {
    "frame ids alone": TrackSettings(cues=(), keep_category=False, steady=0),
    "mask IoU alone": TrackSettings(cues=("iou",), keep_category=False, steady=0),
    "kernels alone": TrackSettings(cues=("embedding",), keep_category=False, steady=0),
    "motion alone": TrackSettings(cues=("motion",), keep_category=False, steady=0),
    "all three": TrackSettings(keep_category=False, steady=0),
    "all, categories kept": TrackSettings(steady=0),
    "all, smoothed": TrackSettings(),
    "oracle": None,
}

Frame = tuple[np.ndarray, PanopticMap, PanopticMap, np.ndarray | None]
"""Image, truth, prediction, embeddings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=["yoso-tiny", "panoptic-fcn-tiny", "epsnet-tiny", "dense-tiny"]
    )
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--device", default=None)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/video-tracking.json"))
    options = parser.parse_args()
    settings = {"seed": SEED, "clips": options.clips, "frames": options.frames, "size": list(options.size)}
    results: dict[str, Any] = {"settings": settings, "models": {}}
    clips = [
        render_clip(SEED, i, options.size[0], options.size[1], options.frames) for i in range(options.clips)
    ]
    for name in options.models:
        segmenter = pansight.load(name, device=options.device)
        videos: list[list[Frame]] = []
        started = time.perf_counter()
        for clip in clips:
            stream = segmenter.stream([sample.image for sample in clip], embeddings=True)
            frames: list[Frame] = []
            for result, sample in zip(stream, clip, strict=True):
                assert result.panoptic is not None, result.problem
                frames.append((sample.image, sample.panoptic, result.panoptic, result.embeddings))
            videos.append(frames)
        seconds = (time.perf_counter() - started) / (options.clips * options.frames)
        rows = {row: score(videos, setting) for row, setting in ROWS.items()}
        results["models"][name] = {"seconds_a_frame": seconds, "rows": rows}
        show(name, rows)
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def score(videos: list[list[Frame]], settings: TrackSettings | None) -> dict[str, Any]:
    """VPQ, STQ, switches, flicker and milliseconds of one way to track."""
    categories = Categories.builtin("scenes")
    evaluation = VideoEvaluation(categories)
    spent, frames, flicker, pixels = 0.0, 0, 0, 0
    for number, video in enumerate(videos):
        evaluation.start_clip(str(number))
        tracker = None if settings is None else Tracker(categories, settings)
        before = None
        for image, truth, prediction, embeddings in video:
            if tracker is None:
                shown = with_true_ids(prediction, truth)
            else:
                started = time.perf_counter()
                shown = tracker.update(prediction, embeddings, image=image)
                spent += time.perf_counter() - started
            frames += 1
            evaluation.update(shown, truth)
            semantic = shown.semantic()
            if before is not None:
                flicker += int((semantic != before).sum())
                pixels += semantic.size
            before = semantic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = evaluation.compute()
    mean = result.mean((1, 2, 4, 6))
    return {
        "vpq": None if mean is None else mean.pq,
        "stq": result.tracking.stq,
        "aq": result.tracking.aq,
        "iou": result.tracking.iou,
        "id_switches": result.tracking.switches,
        "tubes": result.tracking.tubes,
        "changed_pixels": flicker / max(pixels, 1),
        "milliseconds": 1000 * spent / frames,
    }


def with_true_ids(prediction: PanopticMap, truth: PanopticMap) -> PanopticMap:
    """Each thing under the id of the true object that it overlaps most, each object given once a frame."""
    overlaps = count_overlaps(truth.ids, prediction.ids)
    true_things = {segment.id for segment in truth.things()}
    order = np.argsort(-overlaps.pixels)
    taken: dict[int, int] = {}
    for k in order.tolist():
        true = int(overlaps.truth_ids[overlaps.truth_index[k]])
        found = int(overlaps.prediction_ids[overlaps.prediction_index[k]])
        if true in true_things and found not in taken and true not in taken.values():
            taken[found] = true
    spare = iter(range(1 << 20, 1 << 21))
    count = len(prediction.categories)
    things = {segment.id for segment in prediction.things()}
    ids = [
        count + 1 + taken.get(segment.id, next(spare)) if segment.id in things else segment.category + 1
        for segment in prediction.segments
    ]
    rows = zip(ids, (segment.category for segment in prediction.segments), strict=True)
    return PanopticMap.from_table(prediction.paint(ids), list(rows), prediction.categories)


def show(name: str, rows: dict[str, dict[str, Any]]) -> None:
    """A table, figures in per cent."""
    best = rows["oracle"]["stq"]
    print(
        f"\n{name:22} {'VPQ':>6} {'STQ':>6} {'AQ':>6} {'IoU':>6} {'of oracle':>9} {'switches':>8} "
        f"{'changed':>8} {'ms':>6}"
    )
    for row, one in rows.items():
        print(
            f"{row:22} {100 * one['vpq']:6.1f} {100 * one['stq']:6.1f} {100 * one['aq']:6.1f} "
            f"{100 * one['iou']:6.1f} {one['stq'] / best:9.3f} {one['id_switches']:8d} "
            f"{100 * one['changed_pixels']:7.2f}% {one['milliseconds']:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
