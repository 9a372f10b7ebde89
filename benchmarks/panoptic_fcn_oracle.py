"""What Panoptic FCN would reach if its positions, or positions and classes, were the true ones.

    python benchmarks/panoptic_fcn_oracle.py --json benchmarks/panoptic-fcn-tiny/oracle.json

The slides give such an analysis (COCO val, R50 3x: PQ 43.6 as predicted, 49.8 with true positions, 65.9 with
true positions and classes) without code, so the reading is ours: `pansight.models.panoptic_fcn.oracle`. The
network runs once; only where kernels are taken, and which class they get, changes. True peaks score 1, or
with `--own-scores` what the position head gives them.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pansight.bench.scene_scores import Predictions, predictions, quality
from pansight.metrics import PanopticQuality, PanopticQualityResult
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.oracle import true_target
from pansight.scenes import SceneDataset
from pansight.training.config import TEST_SCENES_SEED
from pansight.zoo import load_model


@torch.inference_mode()
def with_truth(
    model: PanopticFCN, kept: Sequence[Predictions], *, classes: bool, sure: bool
) -> PanopticQualityResult:
    """Panoptic quality with true positions, or true positions and classes."""
    measured = PanopticQuality(model.categories)
    for outputs, sizes, scenes in track(kept, "positions and classes" if classes else "positions"):
        targets = [
            true_target(scene.panoptic, valid, sizes.padded)
            for scene, valid in zip(scenes, sizes.valid, strict=True)
        ]
        batch = model.merge_with_truth(outputs, targets, sizes, classes=classes, sure=sure)
        maps = batch.to_maps(model.categories, sizes.output)
        for predicted, scene in zip(maps, scenes, strict=True):
            measured.update(predicted, scene.panoptic, scene.file_name)
    return measured.compute()


def main() -> None:
    """Score, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="panoptic-fcn-tiny", help="name or file")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--own-scores", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    if not isinstance(model, PanopticFCN):
        parser.error(f"{options.model} is not a Panoptic FCN")
    kept = predictions(model, list(SceneDataset(TEST_SCENES_SEED, tuple(options.size), options.scenes)))
    sure = not options.own_scores
    results = {
        "predicted": quality(model, kept),
        "true positions": with_truth(model, kept, classes=False, sure=sure),
        "true positions and classes": with_truth(model, kept, classes=True, sure=sure),
    }
    table = Table("", "PQ", "things", "stuff", title=f"{options.model}, {options.scenes} scenes")
    record = {}
    for name, result in results.items():
        groups = {"all": result.all, "things": result.things, "stuff": result.stuff}
        table.add_row(name, *("-" if g is None else f"{100 * g.pq:.1f}" for g in groups.values()))
        record[name] = {key: group and asdict(group) for key, group in groups.items()}
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
