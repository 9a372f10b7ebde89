"""Time from a picture file to a drawn panoptic map, stage by stage, on this machine.

    python benchmarks/stages.py --model yoso-r50-coco --size 512x800 --threads 2 --json stages.json

Weights are random unless `--weights` names a file; then class scores are made to keep `--kept` masks, as a
trained model keeps 10 to 30 on COCO, because the merge's cost depends on their number. The procedure of the
papers' own code (every mask enlarged twice at full size, one host round trip a segment) is timed in the same
run, interleaved, so that the ratio means something.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pansight import draw
from pansight.models.preprocess import Sizes
from pansight.models.yoso import YOSO, YOSOMergeSettings, YOSOOutputs
from pansight.models.yoso.head import class_scores
from pansight.runtime.images import read_image
from pansight.scenes import render_scene
from pansight.zoo import build, load_model, preset


def literal_merge(model: YOSO, outputs: YOSOOutputs, sizes: Sizes, settings: YOSOMergeSettings) -> Tensor:
    """The procedure of the paper's code, one picture: all masks twice at full size, a loop over segments."""
    logits = outputs.mask_logits
    logits = F.interpolate(logits, size=sizes.padded, mode="bilinear", align_corners=False)[0]
    logits = logits[:, : sizes.valid[0][0], : sizes.valid[0][1]][None]
    logits = F.interpolate(logits, size=sizes.output[0], mode="bilinear", align_corners=False)[0]
    scores, labels = (x[0] for x in class_scores(outputs.class_logits))
    masks = logits.sigmoid()
    keep = (labels != len(model.categories)) & (scores > settings.object_threshold)
    scores, labels, masks = scores[keep], labels[keep], masks[keep]
    result = torch.zeros(sizes.output[0], dtype=torch.int32)
    if len(masks) == 0:
        return result
    winners = (scores[:, None, None] * masks).argmax(0)
    number = 0
    stuff: dict[int, int] = {}
    for query in range(len(masks)):
        category = int(labels[query])
        won = winners == query
        whole = masks[query] >= 0.5
        final = won & whole
        if min(won.sum().item(), whole.sum().item(), final.sum().item()) == 0:
            continue
        if won.sum().item() / whole.sum().item() < settings.keep_share:
            continue
        if not bool(model.is_thing[category]):
            if category in stuff:
                result[final] = stuff[category]
                continue
            stuff[category] = number + 1
        number += 1
        result[final] = number
    return result


def keep_masks(outputs: YOSOOutputs, kept: int, categories: int) -> YOSOOutputs:
    """Class logits that keep just `kept` proposals, spread over the categories."""
    logits = torch.zeros_like(outputs.class_logits)
    logits[..., -1] = 12
    rows = torch.linspace(0, logits.shape[1] - 1, kept).round().long()
    logits[:, rows, -1] = 0
    logits[:, rows, (rows * 7) % categories] = 12 + torch.rand(kept)
    return outputs._replace(class_logits=logits)


def measure(stages: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each stage in each round; stages take turns, so a disturbance hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    for round_ in range(rounds + 1):
        for name, run in stages.items():
            start = time.perf_counter()
            run()
            if round_:  # the first round warms caches
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="yoso-r50-coco")
    parser.add_argument("--weights", type=Path)
    parser.add_argument(
        "--size", default="512x800", help="height x width of the picture and of the network's input"
    )
    parser.add_argument("--kept", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    height, width = (int(v) for v in options.size.split("x"))

    if options.weights:
        model = load_model(options.model, weights=options.weights)
    else:
        model = build(preset(options.model)).eval()
    assert isinstance(model, YOSO)
    settings = YOSOMergeSettings(object_threshold=0.5, keep_share=0.0)
    fast = model.optimized()
    preprocess = model.preprocess.resized(min(height, width))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.jpg"
        Image.fromarray(render_scene(0, 0, height, width).image).save(path, quality=90)
        picture = read_image(path)
        images, sizes = preprocess.batch([picture])
        outputs = keep_masks(fast(images), options.kept, len(model.categories))
        panoptic = fast.merge(outputs, sizes, settings).to_maps(model.categories, sizes.output)[0]
        overlay = draw.overlay(picture, panoptic)
        stages: dict[str, Callable[[], Any]] = {
            "decode": lambda: read_image(path),
            "preprocess": lambda: preprocess.batch([picture]),
            "network (as trained)": lambda: model(images),
            "network (optimized)": lambda: fast(images),
            "merge (paper's procedure)": lambda: literal_merge(model, outputs, sizes, settings),
            "merge": lambda: fast.merge(outputs, sizes, settings),
            "merge (fixed form)": lambda: fast.merge(outputs, sizes, settings, "fixed"),
            "map": lambda: fast.merge(outputs, sizes, settings).to_maps(model.categories, sizes.output),
            "draw": lambda: draw.overlay(picture, panoptic),
        }
        times = measure(stages, options.rounds)
    assert overlay.shape == picture.shape
    times["map"] = [a - b for a, b in zip(times["map"], times["merge"], strict=True)]
    medians = {name: median(values) for name, values in times.items()}
    total = sum(medians[n] for n in ("decode", "preprocess", "network (optimized)", "merge", "map", "draw"))
    print(f"{options.model}, {width} x {height}, {options.kept} masks kept, {options.threads} threads")
    for name, value in medians.items():
        print(f"{name:28} {value:9.1f} ms   (fastest {min(times[name]):.1f})")
    print(f"{'picture to drawn map':28} {total:9.1f} ms")
    ratio = medians["merge (paper's procedure)"] / medians["merge"]
    print(f"merge: {ratio:.1f} times as fast as the paper's procedure")
    ratio = medians["network (as trained)"] / medians["network (optimized)"]
    print(f"network: {ratio:.2f} times as fast by folding")
    if options.json:
        report = {
            "machine": platform.processor(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "ms": medians,
        }
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
