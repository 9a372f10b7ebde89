"""The figures of `yoso-photo`: every validation set of the photographs, and CamVid through a class map.

    python benchmarks/photo/measure.py FOLDER/photos FOLDER/camvid

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
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in SETS:
        figures[name] = evaluate("yoso-photo", options.photos / name / "panoptic_val.json")
        print(name, figures[name]["all"], flush=True)
    for model, mapping in (("yoso-photo", "camvid-photo.yaml"), ("yoso-tiny", "camvid-scenes.yaml")):
        key = f"camvid {model}"
        figures[key] = evaluate(model, options.camvid / "panoptic_val.json", "--map", str(HERE / mapping))
        print(key, figures[key]["all"], figures[key]["miou"], flush=True)
    (HERE / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
