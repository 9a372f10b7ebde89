"""What a command imports before it works: torch only where a network runs, its compiler nowhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pansight
from pansight.formats.conversions import to_coco
from pansight.scenes import SceneDataset

DRIVER = """
import json, sys
from pansight.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["pansight", *arguments]
    code = 0
    try:
        main.run()
    except SystemExit as left:
        code = left.code or 0
    print("ENDED", code, *arguments, flush=True)
    assert "torch" not in sys.modules, arguments
"""


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    """Three scenes as a COCO panoptic set."""
    scenes = SceneDataset(11, (32, 48), 3)
    (tmp_path / "images").mkdir()
    (tmp_path / "panoptic_val").mkdir()
    annotations, images = [], []
    for number, sample in enumerate(scenes):
        rgb, annotation = to_coco(sample.panoptic, number, f"{number}.png")
        Image.fromarray(rgb).save(tmp_path / "panoptic_val" / f"{number}.png")
        Image.fromarray(np.asarray(sample.image)).save(tmp_path / "images" / f"{number}.jpg")
        annotations.append(annotation)
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 32, "width": 48})
    content = {"images": images, "annotations": annotations, "categories": scenes.categories.to_json()}
    (tmp_path / "panoptic_val.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_verbs_without_a_network_never_import_torch(small_set: Path, tmp_path: Path) -> None:
    truth = str(small_set / "panoptic_val.json")
    commands = [
        ["models"],
        ["models", "--json"],
        ["evaluate", truth, truth, "--workers", "2"],
        ["data", "check", truth, "--workers", "2"],
        ["data", "stats", truth],
        ["data", "show", truth, "--output", str(tmp_path / "sheet.png")],
        ["data", "prepare", truth, str(tmp_path / "prepared"), "--workers", "2"],
        ["data", "convert", truth, str(tmp_path / "converted"), "--to", "instances"],
        ["predict", "--help"],
        ["train", "--help"],
    ]
    # a torch that cannot be imported goes before the real one, for the processes that a verb starts, too
    fake = tmp_path / "torch"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise RuntimeError('torch was imported')", encoding="utf-8")
    source = str(Path(pansight.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), source])},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    ended = [line for line in done.stdout.splitlines() if line.startswith("ENDED")]
    assert [line.split()[1] for line in ended] == ["0"] * len(commands), output


def test_the_zoo_is_imported_without_the_compiler() -> None:
    script = """
import sys
from pansight import zoo
for name in zoo.__all__:
    getattr(zoo, name)
import pansight.models.yoso.model, pansight.models.dense_detection.model
import pansight.models.epsnet.model, pansight.models.panoptic_fcn.model
assert "torch" in sys.modules
heavy = sorted({"torch._dynamo", "torch._inductor", "sympy", "lightning"} & set(sys.modules))
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
