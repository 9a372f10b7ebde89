"""Train every row of an ablation with one short budget, and score each on the same unseen scenes.

    python benchmarks/ablation.py benchmarks/dense-tiny/ablation.yaml --runs runs/dense-ablation

The file names a recipe, the options that all rows share, the options of each row, and the settings of the
merge to choose from (on validation scenes, for each row by itself). Rows that are finished are not trained
again, and a row that was stopped goes on, so the command can be repeated.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from pansight.bench.scene_scores import best_settings, predictions, quality
from pansight.scenes import SceneDataset
from pansight.training.config import TEST_SCENES_SEED, VALIDATION_SCENES_SEED
from pansight.zoo import load_native


def train(recipe: str, options: list[str], output: Path) -> Path:
    """The final weights of a training, made now unless they are there."""
    weights = output / "final.safetensors"
    if not weights.is_file():
        command = [sys.executable, "-m", "pansight.cli.main", "train", recipe, "--output", str(output)]
        resume = ["--resume"] if (output / "last.ckpt").is_file() else []
        settings = [part for option in options for part in ("--set", option)]
        subprocess.run([*command, *resume, *settings], check=True)
    return weights


def score(weights: Path, row: dict[str, Any], grid: dict[str, list[Any]], size: tuple[int, int]) -> Any:
    """The row's figures on test scenes, with the settings that suit it best on validation scenes."""
    model = load_native(weights)
    chosen, _ = best_settings(
        model, predictions(model, list(SceneDataset(VALIDATION_SCENES_SEED, size, 50))), grid
    )
    result = quality(model, predictions(model, list(SceneDataset(TEST_SCENES_SEED, size, 150))), row)
    groups = {"all": result.all, "things": result.things, "stuff": result.stuff}
    return {"settings": {**chosen, **row}, **{name: g and asdict(g) for name, g in groups.items()}}


def main() -> None:
    """Train, score, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="what to compare")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--only", action="append", help="a row's name; may be repeated")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    content = yaml.safe_load(arguments.file.read_text(encoding="utf-8"))
    size = tuple(content["size"])
    shared = [*content["options"], f"data.size=[{size[0]}, {size[1]}]", f"threads={arguments.threads}"]
    record_file = arguments.file.with_suffix(".json")
    record = json.loads(record_file.read_text()) if record_file.is_file() else {}
    console = Console()
    for row in content["rows"]:
        name = row["name"]
        if arguments.only and name not in arguments.only:
            continue
        # rows that differ at inference alone share a training
        output = arguments.runs / row.get("training", name).replace(" ", "-").replace(",", "")
        weights = train(content["recipe"], [*shared, *row.get("options", [])], output)
        record[name] = score(weights, row.get("settings", {}), content.get("grid", {}), size)
        record_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    table = Table("", "PQ", "things", "stuff", title=content["title"])
    for name, figures in record.items():
        groups = (figures[group] for group in ("all", "things", "stuff"))
        table.add_row(name, *("-" if g is None else f"{100 * g['pq']:.1f}" for g in groups))
    console.print(table)


if __name__ == "__main__":
    main()
