"""All four methods with one budget, backbone and augmentation: quality, size, work and speed in one table.

    python benchmarks/four_methods.py --root FOLDER --steps 150 --seeds 0 1 2

FOLDER holds the data sets that `four-methods.yaml` names; `--data` and `--methods` choose some of each.
Every training starts from the method's embedded model, all of which had one backbone and one budget on the
same scenes; its last averaged weights are scored on validation images that no training saw (panoptic
quality with a bootstrap interval over images, mIoU; of a mixture, PQ on each of its sets as well); those of
the last data set and seed are timed at the end, methods and engines taking turns. What Panoptic FCN's
authors leave to future work is in it, too: centres for stuff (a training of its own), the argmax merge,
fewer kernels (the same weights scored again). Trainings that are finished are not repeated, and one that
was stopped goes on, when the command is called again. Writes JSON and prints a table.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console

from pansight.bench.flops import count_flops
from pansight.data.mixture import Joint
from pansight.errors import PansightError
from pansight.files import atomic_write
from pansight.metrics import Evaluation
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.models.base import PanopticModel
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.runtime.engines.opening import EngineOptions, open_engine
from pansight.runtime.evaluating import spread
from pansight.runtime.segmenter import Segmenter
from pansight.training.config import TrainConfig
from pansight.training.recipes import make_config
from pansight.training.run import train
from pansight.training.sources import Sources, open_sources
from pansight.training.validation import LiveEngine
from pansight.training.validation import score as score_samples
from pansight.zoo import load_native

HERE = Path(__file__).resolve().parent
VARIANTS: dict[str, dict[str, Any]] = {"argmax merge": {"merge_rule": "argmax"}, "20 kernels": {"top": 20}}
"""of Panoptic FCN at inference, which its authors leave to future work"""


def configuration(
    plan: dict[str, Any], root: Path, data: str, method: str, seed: int, steps: int, threads: int
) -> TrainConfig:
    """One training, as its recipe would have it."""
    shared, chosen = plan["shared"], dict(plan["methods"][method])
    source = {**plan["data"][data], "augmentation": plan["augmentation"]}
    if "folder" in source:
        source["folder"] = str(root / source["folder"])
    optimizer = {
        **shared["optimizer"],
        "learning_rate": chosen.pop("rate", shared["optimizer"]["learning_rate"]),
    }
    model = {**shared["model"], **chosen}
    return make_config(
        {
            **shared,
            "data": source,
            "model": model,
            "optimizer": optimizer,
            "steps": steps,
            "seed": seed,
            "threads": threads,
            "average": round(1 - 1 / max(steps / 10, 2), 4),
            "checkpoint_every": steps,
            "log_every": max(steps // 20, 1),
        }
    )


def trained(config: TrainConfig, sources: Sources, output: Path) -> tuple[PanopticModel, float]:
    """The averaged weights of a training, made now unless they are there, and how many seconds it took."""
    weights, clock = output / "final.safetensors", output / "seconds.txt"
    if not weights.is_file():
        begun = time.perf_counter()
        resume = (output / "last.ckpt").is_file()
        train(config, output, sources=sources, console=Console(quiet=True), check=False, resume=resume)
        clock.write_text(f"{time.perf_counter() - begun:.1f}\n")
    return load_native(weights), float(clock.read_text()) if clock.is_file() else float("nan")


def score(model: PanopticModel, sources: Sources, images: int) -> dict[str, Any]:
    """PQ with its interval, things, stuff and mIoU, in per cent."""
    assert sources.validation is not None
    segmenter = Segmenter(LiveEngine(model, torch.device("cpu")), batch_size=4)
    evaluation = Evaluation(sources.categories, bootstrap=1000)
    chosen = [sources.validation[index] for index in spread(len(sources.validation), images)]
    score_samples(segmenter, chosen, evaluation)
    found = evaluation.compute()
    interval = found.intervals.to_json()["all"]["pq"] if found.intervals else None
    groups = {"pq": found.panoptic.all, "things": found.panoptic.things, "stuff": found.panoptic.stuff}
    row = {
        **{name: round(100 * group.pq, 2) if group else None for name, group in groups.items()},
        "interval": interval,
        "miou": round(100 * found.semantic.mean_iou, 2) if found.semantic.mean_iou is not None else None,
        "images": len(chosen),
    }
    if isinstance(sources.validation, Joint):
        row["sets"] = {
            member.name: score_set(segmenter, Joint([member], sources.categories))
            for member in sources.validation.members
        }
    return row


def score_set(segmenter: Segmenter, samples: Joint) -> dict[str, Any]:
    """PQ on all validation images of one member of a mixture, in per cent."""
    quality = PanopticQuality(samples.categories)
    score_samples(segmenter, (samples[place] for place in range(len(samples))), quality)
    found = quality.compute().all
    return {"pq": round(100 * found.pq, 2) if found else None, "images": len(samples)}


def timed(models: dict[str, Path], engines: list[str], size: tuple[int, int], rounds: int) -> Any:
    """Median milliseconds from image to map of each model by each engine, taking turns."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    calls: dict[tuple[str, str], Segmenter] = {}
    for name, model in models.items():
        for engine in engines:
            try:
                calls[name, engine] = Segmenter(open_engine(model, engine, EngineOptions(device="cpu")))
            except PansightError as error:
                print(f"{name}, {engine}: {error}")
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for number in range(rounds + 2):
        for key, segmenter in calls.items():
            begun = time.perf_counter()
            segmenter(image)
            if number >= 2:  # the first two warm up
                times[key].append(1e3 * (time.perf_counter() - begun))
    return {name: {e: round(median(t), 2) for (n, e), t in times.items() if n == name} for name in models}


def main() -> None:
    """Train, score, time, write."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--root", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--plan", type=Path, default=HERE / "four-methods.yaml")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/four-methods"), help="folder of the trainings"
    )
    parser.add_argument("--data", nargs="+", help="some of the plan's data sets")
    parser.add_argument("--methods", nargs="+", help="some of the plan's methods")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--images", type=int, default=100, help="validation images of each data set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15, help="of the timing; 0: none")
    parser.add_argument("--engines", nargs="+", default=["eager", "torch", "onnxruntime", "openvino"])
    parser.add_argument("--json", type=Path, default=HERE / "four-methods.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = yaml.safe_load(options.plan.read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = []
    models: dict[str, PanopticModel] = {}
    files: dict[str, Path] = {}
    for seed in options.seeds:
        for data in options.data or plan["data"]:
            for method in options.methods or plan["methods"]:
                recipe = configuration(plan, options.root, data, method, seed, options.steps, options.threads)
                sources = open_sources(recipe)
                name = f"{data}-{method}-{options.steps}-{seed}".replace(" ", "-")
                model, seconds = trained(recipe, sources, options.runs / name)
                models[method], files[method] = model, options.runs / name / "final.safetensors"
                row = {
                    "data": data,
                    "method": method,
                    "variant": "",
                    "seed": seed,
                    "steps": options.steps,
                }
                rows.append({**row, **score(model, sources, options.images), "training_seconds": seconds})
                print(json.dumps(rows[-1]), flush=True)
                if isinstance(model, PanopticFCN):
                    config = model.config
                    for variant, changes in VARIANTS.items():
                        model.config = config.model_copy(update=changes)
                        rows.append({**row, "variant": variant, **score(model, sources, options.images)})
                    model.config = config
                write(options.json, {"rows": rows})
    facts = {}
    for method, model in models.items():
        images, _ = model.preprocess.batch([np.zeros((192, 256, 3), np.uint8)])
        facts[method] = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "macs": count_flops(model, images) // 2,
        }
    if options.rounds:
        for method, times in timed(files, options.engines, (192, 256), options.rounds).items():
            facts[method]["milliseconds"] = times
    write(options.json, {"methods": facts, "rows": rows})
    print(table(rows, facts))


def write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def table(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """Markdown, means over seeds."""
    lines = ["| data | method | PQ | things | stuff | mIoU | training, s |", "|---|---|---|---|---|---|---|"]
    for key in dict.fromkeys((row["data"], row["method"], row["variant"]) for row in rows):
        mine = [row for row in rows if (row["data"], row["method"], row["variant"]) == key]
        figures = []
        for name in ("pq", "things", "stuff", "miou", "training_seconds"):
            values = [row[name] for row in mine if row.get(name) is not None]
            spread_of = f" ± {max(values) - min(values):.1f}" if len(values) > 1 and name == "pq" else ""
            figures.append(f"{mean(values):.1f}{spread_of}" if values else "-")
        lines.append(f"| {key[0]} | {', '.join(filter(None, key[1:]))} | " + " | ".join(figures) + " |")
    return "\n".join([*lines, "", *table_of_sets(rows), json.dumps(facts, indent=1)])


def table_of_sets(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown, one line a method and mixture: PQ on each set's validation images, means over seeds."""
    measured = [row for row in rows if row.get("sets")]
    lines: list[str] = []
    for data in dict.fromkeys(row["data"] for row in measured):
        names = list(next(row["sets"] for row in measured if row["data"] == data))
        lines += [f"| {data}, PQ | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for key in dict.fromkeys((row["method"], row["variant"]) for row in measured if row["data"] == data):
            mine = [row for row in measured if (row["data"], row["method"], row["variant"]) == (data, *key)]
            found = ([row["sets"][name]["pq"] for row in mine] for name in names)
            cells = ["-" if None in values else f"{mean(values):.1f}" for values in found]
            lines.append(f"| {', '.join(filter(None, key))} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


if __name__ == "__main__":
    main()
