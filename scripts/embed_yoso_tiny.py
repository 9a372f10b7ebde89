"""Make a finished training of the recipe `yoso-tiny` the embedded model.

    pansight train yoso-tiny --output runs/yoso-tiny
    python scripts/embed_yoso_tiny.py runs/yoso-tiny

Thresholds are chosen on validation scenes; then 300 test scenes, of a seed used for nothing else, give the
figure. Writes the package's weights (half precision, read back before they are measured) and, for whoever
wants to repeat it, the training's configuration and log beside the figures in benchmarks/yoso-tiny/.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from rich.table import Table

from pansight.data.sample import Sample
from pansight.data.scenes import SceneDataset
from pansight.metrics import PanopticQuality, Quality
from pansight.models.preprocess import Preprocess, Sizes
from pansight.models.yoso import YOSO, YOSOOutputs
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED
from pansight.zoo import load_native, save_native

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "pansight" / "assets" / "weights" / "yoso-tiny.safetensors"
RECORD = ROOT / "benchmarks" / "yoso-tiny"
SIZE = (192, 256)
BATCH = 10


@torch.inference_mode()
def run(model: YOSO, scenes: list[Sample]) -> list[tuple[YOSOOutputs, Sizes, range]]:
    """The network's outputs on all scenes; merging them is cheap and done for every threshold."""
    outputs = []
    for first in range(0, len(scenes), BATCH):
        numbers = range(first, min(first + BATCH, len(scenes)))
        images, sizes = model.preprocess.batch([scenes[i].image for i in numbers])
        outputs.append((model(images)._replace(earlier=()), sizes, numbers))
    return outputs


@torch.inference_mode()
def quality(
    model: YOSO, scenes: list[Sample], outputs: list[tuple[YOSOOutputs, Sizes, range]]
) -> PanopticQuality:
    """Panoptic quality with the model's present thresholds."""
    result = PanopticQuality(model.categories)
    for output, sizes, numbers in outputs:
        maps = model.merge(output, sizes).to_maps(model.categories, sizes.output)
        for number, predicted in zip(numbers, maps, strict=True):
            result.update(predicted, scenes[number].panoptic)
    return result


def figures_of(measured: PanopticQuality) -> dict[str, Quality]:
    """All, things and stuff; the scenes are many enough for all three to count."""
    result = measured.compute()
    assert result.all and result.things and result.stuff
    return {"all": result.all, "things": result.things, "stuff": result.stuff}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="output folder of the training")
    parser.add_argument("--scenes", type=int, default=300)
    options = parser.parse_args()
    console = Console()

    model = cast(YOSO, load_native(options.run / "best.safetensors"))
    # things look as large as in training, whatever the picture's size
    model.preprocess = Preprocess(short=SIZE[0], longest=2 * SIZE[0])
    # drawn once, scored for every threshold
    validation = list(SceneDataset(VALIDATION_SCENES_SEED, SIZE, 150))
    outputs = run(model, validation)
    best = -1.0
    chosen = (0.5, 0.6)
    for thresholds in product((0.3, 0.4, 0.5, 0.6), (0.4, 0.5, 0.6, 0.7)):
        model.object_threshold, model.overlap_threshold = thresholds
        found = figures_of(quality(model, validation, outputs))["all"].pq
        console.print(f"object {thresholds[0]}, overlap {thresholds[1]}: PQ {100 * found:.2f} (validation)")
        if found > best:
            best, chosen = found, thresholds
    model.object_threshold, model.overlap_threshold = chosen
    save_native(model, WEIGHTS, dtype="float16")

    model = cast(YOSO, load_native(WEIGHTS))
    test = list(SceneDataset(TEST_SCENES_SEED, SIZE, options.scenes))
    result = figures_of(quality(model, test, run(model, test)))
    table = Table("", "PQ", "SQ", "RQ")
    for name, group in result.items():
        table.add_row(name, *(f"{100 * v:.1f}" for v in (group.pq, group.sq, group.rq)))
    console.print(table)
    parameters = sum(p.numel() for p in model.parameters())
    extra = {
        "description": f"YOSO, ResNet-18 of width {model.config.width}, scenes, in the package",
        "pq": round(100 * result["all"].pq, 1),
        "pq_source": f"{options.scenes} unseen scenes of 192 x 256, scripts/embed_yoso_tiny.py",
    }
    save_native(model, WEIGHTS, dtype="float16", extra=extra)
    RECORD.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "training.csv", "validation.csv"):
        shutil.copy(options.run / name, RECORD / name)
    figures = {
        "scenes": {"seed": TEST_SCENES_SEED, "count": options.scenes, "size": SIZE},
        "thresholds": {"object": chosen[0], "overlap": chosen[1], "chosen_on_seed": VALIDATION_SCENES_SEED},
        "parameters": parameters,
        "bytes": WEIGHTS.stat().st_size,
        **{name: asdict(group) for name, group in result.items()},
    }
    (RECORD / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    console.print(
        f"{WEIGHTS.name}: {parameters / 1e6:.2f} M parameters, {WEIGHTS.stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
