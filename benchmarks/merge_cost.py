"""Processor time of the merge alone, pruned and fixed, one thread, at 512 x 800: the network runs once.

    python benchmarks/merge_cost.py IMAGE [--budget 32] [--json merge-cost.json]

Of the models that come with the package, twice: with the threshold of objects as it is by default, and with
the one that keeps as many masks as the budget allows, so that both forms work on the same number. Both forms
take turns, and the least processor time of several rounds counts, for other programs may run besides.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pansight.merging import Form, MergeSettings
from pansight.models.base import PanopticModel
from pansight.panoptic.sizes import Sizes
from pansight.zoo import load_model

MODELS = ("yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")
FORMS: tuple[Form, Form] = ("pruned", "fixed")


def full_threshold(model: PanopticModel, outputs: Any, sizes: Sizes, settings: MergeSettings) -> float:
    """The least threshold of objects with which no more masks are kept than the budget allows."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        batch = model.merge(outputs, sizes, settings.replaced({"object_threshold": middle}), "fixed")
        assert batch.overflow is not None
        low, high = (middle, high) if bool(batch.overflow.any()) else (low, middle)
    return high


def main() -> None:
    """Measure and print, a line of JSON a model and threshold."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("image", type=Path)
    parser.add_argument("--budget", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image = np.asarray(Image.open(options.image).convert("RGB").resize((800, 512)))
    rows = []
    for name in MODELS:
        model = load_model(name).optimized()
        model.preprocess = model.preprocess.model_copy(
            update={"short": None, "longest": None, "squash": None}
        )
        images, sizes = model.preprocess.batch([image])
        with torch.inference_mode():
            outputs = model(images)
            settings = model.merge_settings.replaced({"budget": options.budget})
            full = full_threshold(model, outputs, sizes, settings)
            for kind, threshold in (("default", settings.object_threshold), ("full budget", full)):
                chosen = settings.replaced({"object_threshold": threshold})
                least = dict.fromkeys(FORMS, float("inf"))
                row: dict[str, object] = {"model": name, "budget": options.budget, "threshold": kind}
                for _ in range(options.rounds):
                    for form in FORMS:
                        begin = time.process_time()
                        batch = model.merge(outputs, sizes, chosen, form)
                        least[form] = min(least[form], time.process_time() - begin)
                        row[f"segments {form}"] = int((batch.categories >= 0).sum())
                row |= {f"ms {form}": round(1000 * seconds, 1) for form, seconds in least.items()}
                row["ratio"] = round(least["fixed"] / least["pruned"], 2)
                print(json.dumps(row), flush=True)
                rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
