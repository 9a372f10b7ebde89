"""Every preset x {pruned, fixed, compiled at two sizes, exported with a dynamic batch, bfloat16}.

Presets are run with few channels and four categories (`matrix_of_presets`): what they are made of stays. Two
presets whose shrunk architectures are built of the same modules give the same graph, so one of them is
compiled and exported; `STAND_INS` says which, and why.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pansight.zoo.presets import released

GRAPHS = (
    "yoso-r50-coco",
    "dense-r50-cityscapes",
    "epsnet-r50-coco",
    "panoptic-fcn-r50-coco",
    "panoptic-fcn-star-dcn101-coco",
)

STAND_INS = {
    "yoso-": ("yoso-r50-coco", "others have more layers of the same kinds, another temperature or size"),
    "dense-": ("dense-r50-cityscapes", "COCO's differs in thresholds, size and loss alone"),
    "epsnet-": ("epsnet-r50-coco", "others differ in depth and in constants of anchors"),
    "panoptic-fcn-star-": (
        "panoptic-fcn-star-dcn101-coco",
        "its deformable encoder is theirs; its backbone has deformable stages besides",
    ),
    "panoptic-fcn-dcn101-": ("panoptic-fcn-star-dcn101-coco", "the same backbone, with a plain encoder"),
    "panoptic-fcn-": ("panoptic-fcn-r50-coco", "others differ in depth, thresholds, size and loss alone"),
}
"""by beginnings of names, the first that fits: the preset that is compiled and exported in their place"""

NAMES = [spec.name for spec in released()]


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("matrix_of_presets.py")), *GRAPHS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_whoever_is_not_compiled_has_a_stand_in_and_a_reason() -> None:
    assert set(GRAPHS) <= set(NAMES)
    for name in NAMES:
        stand_in, reason = next(entry for start, entry in STAND_INS.items() if name.startswith(start))
        assert stand_in in GRAPHS
        assert reason
        assert name not in GRAPHS or name == stand_in


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_forms_give_one_map_in_both_precisions(seen: Mapping[str, Any], name: str) -> None:
    for precision in ("float32", "bfloat16"):
        row = seen[name][precision]
        assert row["segments"] > 0, precision
        assert not row["overflow"], precision
        # ties: values next to a threshold, which the two ways of upsampling round otherwise
        assert row["differ"] <= 3, precision


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_compiles_at_two_sizes_and_exports_with_a_dynamic_batch(seen: Mapping[str, Any], name: str) -> None:
    assert seen[name]["compiled"]
    assert seen[name]["exported"]
