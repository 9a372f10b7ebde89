"""Flicker on a real film: the share of pixels whose category changes from a frame to the next.

    python benchmarks/video_flicker.py 'camvid/val/*.jpg' --model yoso-photo --frames 60

The film moves, so some change is right; what smoothing takes away from the same maps is flicker. Rows: each
frame by itself, ids that last without smoothing, and with it. Beside it the length of outlines in pixels a
frame: smoothing that left them in tatters would lengthen them. Writes JSON and prints a table.
"""

import argparse
import glob
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pansight
from pansight.panoptic import PanopticMap
from pansight.runtime.images import read_image
from pansight.video.tracking import Tracker, TrackSettings

ROWS: dict[str, TrackSettings | None] = {
    "each frame by itself": None,
    "tracked": TrackSettings(keep_category=False, steady=0),
    "tracked, categories kept": TrackSettings(steady=0),
    "tracked, smoothed": TrackSettings(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="a pattern of files, in the order of their names")
    parser.add_argument("--model", default="yoso-photo")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/video-flicker.json"))
    options = parser.parse_args()
    files = sorted(glob.glob(options.images))[: options.frames]  # noqa: PTH207  (a pattern may be absolute)
    if len(files) < 2:
        parser.error(f"{options.images} names {len(files)} files, and a film has two frames at least")
    images = [read_image(file) for file in files]
    segmenter = pansight.load(options.model)
    started = time.perf_counter()
    results = list(segmenter.stream(images, embeddings=True))
    seconds = (time.perf_counter() - started) / len(images)
    rows, lengths = {}, {}
    for name, settings in ROWS.items():
        tracker = None if settings is None else Tracker(segmenter.categories, settings)
        shown = []
        for image, result in zip(images, results, strict=True):
            assert result.panoptic is not None, result.problem
            panoptic = result.panoptic
            if tracker is not None:
                panoptic = tracker.update(panoptic, result.embeddings, image=image)
            shown.append(panoptic)
        rows[name], lengths[name] = changed(shown), outlines(shown)
        print(
            f"{name:26} {100 * rows[name]:6.2f}% of the pixels change their category, outlines "
            f"of {lengths[name]:.0f} pixels",
            flush=True,
        )
    content: dict[str, Any] = {
        "model": options.model, "frames": len(images), "seconds_a_frame": seconds, "changed_pixels": rows,
        "outlines": lengths,
    }  # fmt: skip
    options.json.write_text(json.dumps(content, indent=1) + "\n")


def changed(maps: list[PanopticMap]) -> float:
    """The share of pixels, over all neighbours, whose category differs."""
    semantics = [panoptic.semantic() for panoptic in maps]
    pairs = list(pairwise(semantics))
    return sum(int((one != other).sum()) for one, other in pairs) / sum(one.size for one, _ in pairs)


def outlines(maps: list[PanopticMap]) -> float:
    """Pairs of neighbouring pixels of different segments, a frame."""
    pairs = [(panoptic.ids[1:], panoptic.ids[:-1]) for panoptic in maps]
    pairs += [(panoptic.ids[:, 1:], panoptic.ids[:, :-1]) for panoptic in maps]
    return sum(int((one != other).sum()) for one, other in pairs) / len(maps)


if __name__ == "__main__":
    main()
