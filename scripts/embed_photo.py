"""Make a finished training on photographs an embedded model, `yoso-photo` or `panoptic-fcn-photo`.

    python scripts/embed_photo.py panoptic-fcn-photo runs/photo/final.safetensors FOLDER/photos --steps 2400

Thresholds and the calibration of scores come from every second validation image of each set; the other half
shows what they are worth (benchmarks/photo/choice-NAME.json). Writes the package's weights in half precision.
Figures are then measured by `pansight evaluate`, see benchmarks/photo/README.md.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize

from pansight.categories import Categories
from pansight.data.labelling import find_labelling
from pansight.data.opening import open_dataset
from pansight.merging.certainty import calibrated
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Sizes
from pansight.models.yoso import YOSO
from pansight.panoptic import PanopticMap
from pansight.panoptic.labelling import Labelling, only_categories
from pansight.zoo import load_native, save_native

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "pansight" / "assets" / "weights"
RECORDS = ROOT / "benchmarks" / "photo"

SETS = ("facade", "coco_scenes", "coco", "person_scenes", "person", "animals", "corridors", "campus_road")
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "yoso-photo": {
        "bias": (0.0, 1.0, 2.0, 3.0),
        "object_threshold": (0.2, 0.35),
        "keep_share": (0.35, 0.55),
    },
    "panoptic-fcn-photo": {
        "similarity_threshold": (0.9, 0.95, 0.98),
        "object_threshold": (0.1, 0.12, 0.135, 0.15, 0.2),
        "mask_threshold": (0.5,),
        "stuff_area": (4096,),
    },
}
"""what is tried for each model; `bias` is taken off the logit of "no object", which a short training of YOSO
leaves too sure of itself, `similarity_threshold` belongs to the model's config, others are merge settings"""
BINS = 10


class Case(NamedTuple):
    """One validation image, what the network said of it, and its truth."""

    name: str
    outputs: Any
    sizes: Sizes
    truth: PanopticMap
    labelling: Labelling


@torch.inference_mode()
def cases(model: PanopticModel, photos: Path, part: int) -> Iterator[Case]:
    """Every second image of each set's validation split, from the first or the second on."""
    for name in SETS:
        annotations = photos / name / "panoptic_val.json"
        dataset = open_dataset(annotations)
        labelling = find_labelling(annotations, dataset.categories)
        assert labelling is not None
        for index in range(part, len(dataset), 2):
            sample = dataset[index]
            images, sizes = model.preprocess.batch([sample.image])
            yield Case(f"{name}/{sample.file_name}", model(images), sizes, sample.panoptic, labelling)


def configured(model: PanopticModel, settings: dict[str, float]) -> tuple[Any, dict[str, float]]:
    """The model's config with those of the settings that it has itself, and the others, of the merge."""
    own = {name: value for name, value in settings.items() if name in type(model.config).model_fields}
    rest = {name: value for name, value in settings.items() if name not in own}
    return model.config.model_copy(update=own), rest


@torch.inference_mode()
def predicted(model: PanopticModel, case: Case, settings: dict[str, float]) -> PanopticMap:
    """The map of a case with these merge settings, annotated categories alone."""
    changes = dict(settings)
    outputs = case.outputs
    if "bias" in changes:
        logits = outputs.class_logits.clone()
        logits[..., -1] -= changes.pop("bias")
        outputs = outputs._replace(class_logits=logits)
    model.config, changes = configured(model, changes)
    merged = model.merge(outputs, case.sizes, model.merge_settings.replaced(changes))
    return only_categories(merged.to_maps(case.truth.categories)[0], case.labelling.annotated)


def choose(
    model: PanopticModel, photos: Path, part: int, choices: dict[str, tuple[float, ...]]
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The settings with the best mean PQ over the sets, and all that were tried."""
    grid = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    scores: dict[tuple[int, str], PanopticQuality] = {}
    for case in cases(model, photos, part):
        for number, settings in enumerate(grid):
            key = number, case.name.split("/")[0]
            quality = scores.setdefault(key, PanopticQuality(case.truth.categories))
            quality.update(predicted(model, case, settings), case.truth, case.name)
    rows = []
    for number, settings in enumerate(grid):
        found = {name: scores[number, name].compute().all for name in SETS}
        each = {name: 0.0 if one is None else 100 * one.pq for name, one in found.items()}
        rows.append({**settings, "pq": float(np.mean(list(each.values()))), **each})
    best = max(rows, key=lambda row: row["pq"])
    return {name: best[name] for name in choices}, rows


class Judged(NamedTuple):
    """Segments that lie mostly on labels: score, whether right (IoU above a half), whether a thing."""

    scores: np.ndarray
    right: np.ndarray
    things: np.ndarray


def judged(panoptic: PanopticMap, truth: PanopticMap) -> list[tuple[float, bool, bool]]:
    """The judged segments of one image, a row each."""
    answers = []
    categories = {segment.id: segment.category for segment in truth.segments}
    areas = {segment.id: segment.area for segment in truth.segments}
    for segment in panoptic.segments:
        under = truth.ids[panoptic.ids == segment.id]
        labelled = int((under > 0).sum())
        if labelled < segment.area / 2 or segment.score is None:
            continue
        right = False
        ids, counts = np.unique(under[under > 0], return_counts=True)
        for id, count in zip(ids.tolist(), counts.tolist(), strict=True):
            union = labelled + areas[id] - count
            right |= categories[id] == segment.category and count > union / 2
        answers.append((segment.score, right, bool(panoptic.categories.is_thing[segment.category])))
    return answers


def all_judged(model: PanopticModel, photos: Path, part: int, settings: dict[str, Any]) -> Judged:
    """The judged segments of one half of the validation images."""
    rows = [
        row
        for case in cases(model, photos, part)
        for row in judged(predicted(model, case, settings), case.truth)
    ]
    return Judged(*map(np.array, zip(*rows, strict=True)))


def fit(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset of Platt's scaling, by least cross-entropy."""
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    logits = np.log(clipped / (1 - clipped))

    def loss(x: np.ndarray) -> float:
        z = x[0] * logits + x[1]
        return float(np.mean(np.logaddexp(0, z) - right * z))

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return max(float(slope), 0.0), float(offset)


def reliability(scores: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Bins of equal width, and the expected calibration error (mean gap, weighted by count)."""
    bins = []
    error = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (scores >= low) & (scores < low + 1 / BINS + (low == 1 - 1 / BINS))
        if inside.any():
            mean, share = float(scores[inside].mean()), float(right[inside].mean())
            bins.append({"from": round(float(low), 1), "count": int(inside.sum()), "mean score": mean,
                         "share right": share})  # fmt: skip
            error += abs(mean - share) * inside.mean()
    return {"expected_calibration_error": float(error), "segments": len(scores), "bins": bins}


def table(categories: Categories, photos: Path) -> dict[str, int]:
    """Segments of each category in the sets' training splits."""
    counts = dict.fromkeys(categories.names, 0)
    for name in SETS:
        content = json.loads((photos / name / "panoptic_train.json").read_text())
        named = {row["id"]: row["name"] for row in content["categories"]}
        for annotation in content["annotations"]:
            for segment in annotation["segments_info"]:
                counts[named[segment["category_id"]]] += 1
    return counts


def main() -> None:
    """Choose, calibrate, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=GRIDS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--steps", type=int, required=True, help="of the training, for the model card")
    parser.add_argument("--short", type=int, help="side of the input, where it is not that of the training")
    options = parser.parse_args()
    model = load_native(options.weights)
    if options.short:
        model.preprocess = model.preprocess.model_copy(update={"short": options.short})
    # scores as the network gives them, also where the file is one that was made here
    unchanged = model.merge_settings.replaced({"calibration": (1.0, 0.0), "void_below_each": ()})
    model.config = model.config.model_copy(update={"merge": unchanged})
    best, tried = choose(model, options.photos, 0, GRIDS[options.name])
    chosen = all_judged(model, options.photos, 0, best)
    things, stuff = (
        fit(chosen.scores[group], chosen.right[group]) for group in (chosen.things, ~chosen.things)
    )
    held_out = all_judged(model, options.photos, 1, best)
    pairs = torch.tensor([things if is_thing else stuff for is_thing in held_out.things], dtype=torch.float64)
    after = calibrated(torch.from_numpy(held_out.scores), *pairs.unbind(-1)).numpy()
    figures: dict[str, Any] = {
        "settings": dict(best),
        "short": model.preprocess.short,
        "calibration_things": things,
        "calibration_stuff": stuff,
        "chosen_on": "every second validation image of each set",
        "tried": tried,
        "reliability_before": reliability(held_out.scores, held_out.right),
        "reliability_after": reliability(after, held_out.right),
        "train_segments": table(model.categories, options.photos),
    }
    if isinstance(model, YOSO):
        with torch.no_grad():
            last: Any = model.yoso_head.mask_heads[-1].fc_cls
            last.bias[-1] -= best.pop("bias") * model.config.temperature
    model.config, best = configured(model, best)
    each = [things if is_thing else stuff for is_thing in model.categories.is_thing]
    merge = model.merge_settings.replaced({**best, "calibration_each": each})
    model.config = model.config.model_copy(update={"merge": merge})
    method = {"yoso": "YOSO", "panoptic_fcn": "Panoptic FCN"}[model.method]
    extra = {
        "description": f"{method}, EfficientNet-Lite0, 43 categories, photographs, ships with the package",
        "pq": round(max(row["pq"] for row in tried), 1),
        "pq_source": f"best of {len(tried)} settings on the validation images they were chosen on, "
        "mean of eight sets: no held-out result",
        "steps": options.steps,
        "licence": "weights: Apache-2.0; fine-tuned (changed) from EfficientNet-Lite0 of tensorflow/tpu, "
        "Apache-2.0, as converted by ML Illustrated, Copyright (c) 2020",
        "data": "facade, coco, coco_scenes, person, person_scenes, animals, corridors, campus_road "
        "(all.txt); "
        "sources and terms: benchmarks/photo/README.md",
    }
    file = WEIGHTS / f"{options.name}.safetensors"
    save_native(model, file, dtype="float16", vectors=True, extra=extra)
    record = RECORDS / f"choice-{options.name}.json"
    record.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(figures["settings"], f"mean PQ {extra['pq']}, calibration of things {things}, of stuff {stuff}")
    for name in ("before", "after"):
        print(name, f"calibration error {figures[f'reliability_{name}']['expected_calibration_error']:.3f}")
    print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
