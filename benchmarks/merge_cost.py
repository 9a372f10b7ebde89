"""Processor time of the merge alone, pruned and fixed, one thread, at 512 x 800: the network runs once.

    python benchmarks/merge_cost.py IMAGE [--budget 32] [--threshold 0.1]

The models that come with the package; the threshold of objects is lowered so that many masks are kept. Both
forms in turn, the least time of several rounds: processor time, for other programs may run besides.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pansight.merging import Form
from pansight.zoo import load_model

MODELS = ("yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")
FORMS: tuple[Form, Form] = ("pruned", "fixed")


def main() -> None:
    """Measure and print, a line of JSON a model."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("image", type=Path)
    parser.add_argument("--budget", type=int, default=32)
    parser.add_argument("--threshold", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image = np.asarray(Image.open(options.image).convert("RGB").resize((800, 512)))
    for name in MODELS:
        model = load_model(name).optimized()
        model.preprocess = model.preprocess.model_copy(
            update={"short": None, "longest": None, "squash": None}
        )
        images, sizes = model.preprocess.batch([image])
        changes = {"budget": options.budget, "object_threshold": options.threshold}
        settings = model.merge_settings.replaced(changes)
        least = dict.fromkeys(FORMS, float("inf"))
        row: dict[str, object] = {"model": name, "budget": options.budget}
        with torch.inference_mode():
            outputs = model(images)
            for _ in range(options.rounds):
                for form in FORMS:
                    begin = time.process_time()
                    batch = model.merge(outputs, sizes, settings, form)
                    least[form] = min(least[form], time.process_time() - begin)
                    row[f"segments {form}"] = int((batch.categories >= 0).sum())
        row |= {f"ms {form}": round(1000 * seconds, 1) for form, seconds in least.items()}
        row["ratio"] = round(least["fixed"] / least["pruned"], 2)
        row["overflow"] = bool(batch.overflow is not None and batch.overflow.any())
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
