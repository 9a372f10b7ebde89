"""Fine-tuning against training from scratch, on a new category set, at several budgets.

    python benchmarks/fine_tuning.py --data camvid/ --model yoso-tiny --json benchmarks/fine-tuning.json

Both sides get the same images, steps, batches, augmentation and schedule, as `pansight train --model` chooses
them; the one from scratch has random weights and the model's own full rate, which suits it. Panoptic quality
is that of the last (averaged) weights on validation images that no training saw. A seed decides on the order
of the images, their augmentation and the random weights; a row is one budget with one seed.
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from pansight.files import atomic_write
from pansight.runtime.evaluating import spread
from pansight.runtime.segmenter import Segmenter
from pansight.training.config import TrainConfig
from pansight.training.finetuning import fine_tuning, scaled
from pansight.training.recipes import make_config
from pansight.training.run import train
from pansight.training.sources import Sources, open_sources
from pansight.training.validation import LiveEngine, measure, summary


def configuration(
    model: str, data: str, steps: int, batch: int, threads: int, seed: int, *, start: bool
) -> TrainConfig:
    """One side of the comparison at one budget."""
    content = scaled(fine_tuning(model, data, batch_size=batch), 0, steps=steps)
    content |= {"workers": 0, "threads": threads, "device": "cpu", "log": ["csv"], "checkpoint_every": steps}
    content |= {"seed": seed, "validation": {"every": 0}}
    if not start:
        content["model"] = {**content["model"], "start": None}
        content["optimizer"] = {
            **content["optimizer"],
            "learning_rate": 2 * content["optimizer"]["learning_rate"],
        }
    return make_config(content)


def score(config: TrainConfig, sources: Sources, images: int) -> dict[str, float]:
    """Train, and measure the last weights."""
    assert sources.validation is not None
    with tempfile.TemporaryDirectory() as folder:
        model = train(config, Path(folder) / "run", sources=sources, console=Console(quiet=True), check=False)
    segmenter = Segmenter(LiveEngine(model, torch.device("cpu")), batch_size=4)
    chosen = (sources.validation[index] for index in spread(len(sources.validation), images))
    return summary(measure(segmenter, chosen).compute())


def main() -> None:
    """Every budget with every seed, both sides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a data set with a validation split")
    parser.add_argument("--model", default="yoso-tiny")
    parser.add_argument("--budgets", type=int, nargs="+", default=[25, 50, 100, 200], help="steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--images", type=int, default=40, help="validation images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for steps, seed in product(arguments.budgets, arguments.seeds):
        row: dict[str, Any] = {"steps": steps, "seed": seed}
        for side in ("fine-tuned", "scratch"):
            config = configuration(
                arguments.model, arguments.data, steps, arguments.batch_size, arguments.threads, seed,
                start=side == "fine-tuned",
            )  # fmt: skip
            figures = score(config, open_sources(config), arguments.images)
            row[side] = {
                name: round(figures[name], 2) for name in ("pq", "pq_things", "pq_stuff", "sq", "rq")
            }
        rows.append(row)
        print(
            f"{steps} steps, seed {seed}: fine-tuned {row['fine-tuned']['pq']}, "
            f"from scratch {row['scratch']['pq']}",
            flush=True,
        )
        if arguments.json is not None:
            content = {
                "model": arguments.model,
                "data": Path(arguments.data).name,
                "batch_size": arguments.batch_size,
                "validation_images": arguments.images,
                "rows": rows,
            }
            with atomic_write(arguments.json) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
