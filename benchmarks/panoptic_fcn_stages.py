"""Time of Panoptic FCN stage by stage on this machine, as trained and optimized, one picture.

    python benchmarks/panoptic_fcn_stages.py --model panoptic-fcn-r50-coco --size 512x683 --threads 2

Weights are random unless `--weights` names a file. The merge's cost depends on what the position maps say,
and random ones say nothing: without `--weights`, `--peaks` cells spread over the levels are given
probabilities near 1, and the semantic map patches, as a trained model has them; with `--weights` the maps are
the model's own. Each stage is timed in both forms, interleaved, so that ratios mean something.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.fusion import fuse_stuff, fuse_things
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.positions import find_peaks, find_regions
from pansight.scenes import render_scene
from pansight.zoo import build, load_model, preset


def enliven(outputs: PanopticFCNOutputs, peaks: int, classes: int) -> PanopticFCNOutputs:
    """Peaks, more of them on fine levels, and patches of a few semantic classes."""
    generator = torch.Generator().manual_seed(0)
    things, stuff = [], []
    for level, (thing, semantic) in enumerate(zip(outputs.things, outputs.stuff, strict=True)):
        count = min(thing[0, 0].numel(), max(1, peaks >> (level + 1)))
        logits = torch.full_like(thing, -6.0)
        cells = torch.randperm(thing[0, 0].numel(), generator=generator)[:count]
        kinds = torch.randint(0, thing.shape[1], (count,), generator=generator)
        logits.view(1, thing.shape[1], -1)[0, kinds, cells] = 6.0 + torch.rand(count, generator=generator)
        things.append(logits)
        patches = torch.randint(0, classes, (1, 1, 4, 6), generator=generator).float()
        patches = F.interpolate(patches, size=semantic.shape[2:], mode="nearest").long()
        stuff.append(torch.full_like(semantic, -6.0).scatter(1, patches, 2.0))
    return outputs._replace(things=tuple(things), stuff=tuple(stuff))


def stages_of(
    model: PanopticFCN, images: Tensor, sizes: Any, peaks: int | None
) -> dict[str, Callable[[], Any]]:
    """Each stage by itself, fed with what comes before; `peaks` made up (None: the model's own maps)."""
    levels = model.backbone(images)
    semantic = model.semantic_fpn(levels[:4])
    outputs = model(images)
    if peaks is not None:
        outputs = enliven(outputs, peaks, 12)

    def kernels() -> Any:
        things = fuse_things(
            find_peaks(outputs, model.config, model.reader), model.thing_generator, model.config, "pruned"
        )
        return things, fuse_stuff(
            find_regions(outputs, model.config, "pruned", model.reader), model.stuff_generator
        )

    return {
        "backbone and pyramid": lambda: model.backbone(images),
        "semantic pyramid": lambda: model.semantic_fpn(levels[:4]),
        "feature encoder": lambda: model.feature_encoder(semantic),
        "position head": lambda: [model.position_head(level) for level in levels[1:]],
        "kernel head": lambda: [model.kernel_head(level) for level in levels[1:]],
        "kernels: positions, fusion": kernels,
        "merge (with these kernels)": lambda: model.merge(outputs, sizes),
    }


def measure(forms: dict[str, dict[str, Callable[[], Any]]], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of each stage in each form; they take turns, so a disturbance hits all alike."""
    times: dict[tuple[str, str], list[float]] = {}
    for round_ in range(rounds + 1):
        for stage in next(iter(forms.values())):
            for form, stages in forms.items():
                start = time.perf_counter()
                stages[stage]()
                if round_:  # the first round warms caches
                    times.setdefault((stage, form), []).append((time.perf_counter() - start) * 1e3)
    return {
        stage: {form: median(times[stage, form]) for form in forms} for stage in next(iter(forms.values()))
    }


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="panoptic-fcn-r50-coco")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", default="512x683", help="height x width of the picture; it is not resized")
    parser.add_argument("--peaks", type=int, default=80, help="made up, without --weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    height, width = (int(side) for side in options.size.split("x"))
    if options.weights:
        model = load_model(options.model, weights=options.weights)
    else:
        model = build(preset(options.model)).eval()
    assert isinstance(model, PanopticFCN)
    picture = render_scene(0, 0, height, width).image
    images, sizes = model.preprocess.resized("none").batch([picture])
    made_up = None if options.weights else options.peaks
    forms = {
        name: stages_of(each, images, sizes, made_up)
        for name, each in (("as trained", model), ("optimized", model.optimized()))
    }
    times = measure(forms, options.rounds)
    # finding kernels is a part of the merge
    network = [stage for stage in times if not stage.startswith(("kernels", "merge"))]
    times["network"] = {form: sum(times[stage][form] for stage in network) for form in forms}
    merge = times["merge (with these kernels)"]
    times["picture to map"] = {form: times["network"][form] + merge[form] for form in forms}
    peaks = "its own peaks" if made_up is None else f"{made_up} peaks"
    print(f"{options.model}, {width} x {height}, {peaks}, {options.threads} threads; ms")
    print(f"{'':28} {'as trained':>10} {'optimized':>10}   ratio")
    for stage, row in times.items():
        plain, folded = row["as trained"], row["optimized"]
        print(f"{stage:28} {plain:10.1f} {folded:10.1f}   {plain / folded:.2f}")
    if options.json:
        report = {"machine": platform.processor(), "torch": torch.__version__, "ms": times}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
