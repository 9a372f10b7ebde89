"""Make a finished training of a tiny recipe an embedded model.

    pansight train yoso-tiny --output runs/yoso-tiny
    python scripts/embed.py yoso-tiny runs/yoso-tiny

Thresholds are chosen on validation scenes; then 300 test scenes, of a seed used for nothing else, give the
figure. Writes the package's weights (half precision, read back before they are measured) and, for whoever
wants to repeat it, the training's configuration and log beside the figures in benchmarks/<name>/.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pansight.bench.scene_scores import best_settings, predictions, quality
from pansight.models.preprocess import Preprocess
from pansight.scenes import SceneDataset
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED
from pansight.zoo import load_native, save_native

ROOT = Path(__file__).resolve().parent.parent
SIZE = (192, 256)

GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "yoso": {"object_threshold": (0.3, 0.4, 0.5, 0.6), "keep_share": (0.4, 0.5, 0.6, 0.7)},
    "dense_detection": {
        "location_probability": ("iou", "giou"),
        "mask_threshold": (0.02, 0.05, 0.1, 0.2),
        "object_threshold": (0.05, 0.1, 0.15, 0.2, 0.3),
    },
    "panoptic_fcn": {
        "object_threshold": (0.1, 0.15, 0.2, 0.3),
        "mask_threshold": (0.3, 0.4, 0.5),
        "similarity_threshold": (0.8, 0.9, 0.95),
    },
    "epsnet": {"object_threshold": (0.1, 0.2, 0.3, 0.4), "max_occlusion": (0.4, 0.5, 0.6)},
}
TITLES = {
    "yoso": "YOSO",
    "dense_detection": "dense detections",
    "panoptic_fcn": "Panoptic FCN",
    "epsnet": "EPSNet",
}


def main() -> None:
    """Choose, measure, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the model, such as yoso-tiny")
    parser.add_argument("run", type=Path, help="output folder of the training")
    parser.add_argument("--weights", default="best", choices=("best", "final"))
    parser.add_argument("--scenes", type=int, default=300)
    options = parser.parse_args()
    console = Console()
    file = ROOT / "src" / "pansight" / "assets" / "weights" / f"{options.name}.safetensors"
    record = ROOT / "benchmarks" / options.name

    model = load_native(options.run / f"{options.weights}.safetensors")
    # things look as large as in training, whatever the picture's size
    model.preprocess = Preprocess(
        **{**model.preprocess.model_dump(), "short": SIZE[0], "longest": 2 * SIZE[0]}
    )
    validation = list(SceneDataset(VALIDATION_SCENES_SEED, SIZE, 150))
    chosen, found = best_settings(model, predictions(model, validation), GRIDS[model.method])
    console.print(f"{chosen}: PQ {100 * found:.2f} (validation)")
    save_native(model, file, dtype="float16")

    model = load_native(file)
    result = quality(model, predictions(model, list(SceneDataset(TEST_SCENES_SEED, SIZE, options.scenes))))
    groups = {"all": result.all, "things": result.things, "stuff": result.stuff}
    table = Table("", "PQ", "SQ", "RQ")
    for name, group in groups.items():
        assert group is not None, "so many scenes hold every category"
        table.add_row(name, *(f"{100 * v:.1f}" for v in (group.pq, group.sq, group.rq)))
    console.print(table)
    assert result.all is not None
    parameters = sum(p.numel() for p in model.parameters())
    width = getattr(model.config, "width", 64)
    extra = {
        "description": f"{TITLES[model.method]}, ResNet-18 of width {width}, scenes, in the package",
        "pq": round(100 * result.all.pq, 1),
        "pq_source": f"{options.scenes} unseen scenes of 192 x 256, scripts/embed.py",
    }
    save_native(model, file, dtype="float16", extra=extra)
    record.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "training.csv", "validation.csv"):
        shutil.copy(options.run / name, record / name)
    figures = {
        "scenes": {"seed": TEST_SCENES_SEED, "count": options.scenes, "size": SIZE},
        "settings": {**chosen, "chosen_on_seed": VALIDATION_SCENES_SEED},
        "parameters": parameters,
        "bytes": file.stat().st_size,
        **{name: asdict(group) for name, group in groups.items() if group is not None},
    }
    (record / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    console.print(f"{file.name}: {parameters / 1e6:.2f} M parameters, {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
