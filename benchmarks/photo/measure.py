"""The figures of the models of photographs: every validation set, CamVid and COCO through class maps.

    python benchmarks/photo/measure.py FOLDER/photos FOLDER/camvid --coco FOLDER/coco/panoptic_sample.json

Runs `pansight evaluate` for each, with bootstrap intervals, and writes figures.json beside this file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SETS = ("facade", "coco_scenes", "coco", "person_scenes", "person", "animals", "corridors", "campus_road")


def evaluate(model: str, data: Path, *options: str) -> dict[str, Any]:
    """What `pansight evaluate --json` writes, cut down to what the table needs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [
            sys.executable,
            "-m",
            "pansight.cli.main",
            "evaluate",
            "--model",
            model,
            "--data",
            str(data),
        ]
        done = subprocess.run(
            [*command, "--engine", "torch", "--bootstrap", "1000", "--json", str(file), *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not file.is_file():
            raise SystemExit(f"{data}: {done.stderr}")
        content = json.loads(file.read_text())
    kept = ("all", "things", "stuff", "classes", "images", "categories")
    return {
        **{key: content.get(key) for key in kept},
        "miou": content["semantic"].get("miou"),
        "intervals": content["intervals"],
        "ms": [line for line in done.stdout.splitlines() if "ms per image" in line],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--models", nargs="+", default=["panoptic-fcn-photo", "yoso-photo"])
    parser.add_argument(
        "--coco",
        nargs="*",
        default=[],
        metavar="JSON[=IMAGES]",
        help="files of COCO's categories to add, with the folder of their images where it is not found",
    )
    options = parser.parse_args()
    written = HERE / "figures.json"
    figures: dict[str, Any] = json.loads(written.read_text()) if written.is_file() else {}

    def measure(key: str, model: str, data: Path, *more: str) -> None:
        figures[f"{model} {key}"] = evaluate(model, data, *more)
        print(model, key, figures[f"{model} {key}"]["all"], flush=True)
        written.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    for model in options.models:
        for name in SETS:
            measure(name, model, options.photos / name / "panoptic_val.json")
        measure(
            "camvid", model, options.camvid / "panoptic_val.json", "--map", str(HERE / "camvid-photo.yaml")
        )
        for given in options.coco:
            file, _, images = given.partition("=")
            more = ["--images", images] if images else []
            key = f"{Path(file).resolve().parent.name}/{Path(file).stem}"
            measure(key, model, Path(file), "--map", str(HERE / "coco-photo.yaml"), *more)
    measure(
        "camvid", "yoso-tiny", options.camvid / "panoptic_val.json", "--map", str(HERE / "camvid-scenes.yaml")
    )


if __name__ == "__main__":
    main()
