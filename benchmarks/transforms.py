"""Training pictures a second and core, from files on disk to augmented examples, by each paper's sequence.

    python benchmarks/transforms.py --annotations panoptic_train2017.json --images train2017 --json out.json

Times are of the process (CPU seconds of one thread), so that other work on the machine hardly shows; the
share of decoding (picture and ids) is given beside: it is the floor that no sequence gets under.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from pansight.data.coco import CocoPanoptic
from pansight.data.transforms import (
    Compose,
    Transform,
    crop_and_color,
    generator_for,
    large_scale_jitter,
    short_sides,
    squash_and_crop,
    window_and_rescale,
)
from pansight.training.batch import make_example

SEQUENCES: dict[str, Transform] = {
    "none": Compose(),
    "yoso coco (lsj 1024)": large_scale_jitter(),
    "yoso ade20k (crop 640)": crop_and_color(640, 2560, (640, 640), pad=True),
    "panoptic fcn 800 (sides 640..800)": short_sides((640, 672, 704, 736, 768, 800), 1333),
    "panoptic fcn 512 (sides 352..512)": short_sides((352, 384, 416, 448, 480, 512), 854),
    "dense detections coco (sides 640, 720, 800)": short_sides((640, 720, 800), 1333),
    "dense detections cityscapes (window, rescale)": window_and_rescale(),
    "epsnet (squash 550)": squash_and_crop(),
}


def seconds(action: Callable[[int], Any], items: int, rounds: int) -> float:
    """Median over rounds of the CPU seconds an item."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for index in range(items):
            action(index)
        times.append((time.process_time() - start) / items)
    return median(times)


def main() -> None:
    """Time every sequence on the same pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--annotations", required=True, type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    data = CocoPanoptic(arguments.annotations, arguments.images)
    count = min(arguments.pictures, len(data))
    samples = [data[index] for index in range(count)]
    pixels = sum(sample.height * sample.width for sample in samples) / count
    decoding = seconds(data.__getitem__, count, arguments.rounds)
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "pictures": count,
        "pixels_a_picture": round(pixels),
        "decode_ms": round(decoding * 1e3, 2),
        "sequences": {},
    }
    print(f"{count} pictures of {pixels / 1e6:.2f} megapixels; decoding {decoding * 1e3:.1f} ms a picture")
    for name, transform in SEQUENCES.items():

        def augment(index: int, transform: Transform = transform) -> None:
            make_example(samples[index], transform, generator_for((0, 0, index)))

        each = seconds(augment, count, arguments.rounds)
        rate = 1 / (decoding + each)
        result["sequences"][name] = {
            "augment_ms": round(each * 1e3, 2),
            "images_a_second_and_core": round(rate, 1),
            "share_of_decoding": round(decoding * rate, 3),
        }
        print(
            f"{name:48} {each * 1e3:7.1f} ms   {rate:6.1f} images/s/core, "
            f"{decoding * rate:4.0%} of it decoding"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
