"""The embedded models do what their records in benchmarks/ say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.metrics import PanopticQuality
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import SceneDataset
from pansight.training.config import TEST_SCENES_SEED
from pansight.training.validation import LiveEngine, measure
from pansight.zoo import load_model, read_header
from pansight.zoo.presets import EMBEDDED, embedded_path, preset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

LEAST = {
    "yoso-tiny": (0.75, 0.7, 0.85),
    "dense-tiny": (0.7, 0.6, 0.8),
    "panoptic-fcn-tiny": (0.75, 0.7, 0.8),
    "epsnet-tiny": (0.75, 0.7, 0.8),
}
"""PQ of all, things and stuff"""


def record_of(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((BENCHMARKS / name / "figures.json").read_text())
    return content


PHOTOGRAPHS = ("panoptic-fcn-photo", "yoso-photo")


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_unseen_scenes(name: str) -> None:
    model = load_model(name)
    # the first of the scenes that the record's figure is of
    scenes = SceneDataset(TEST_SCENES_SEED, (192, 256), 40)
    segmenter = Segmenter(LiveEngine(model, torch.device("cpu")), batch_size=10)
    quality: PanopticQuality = measure(segmenter, list(scenes))
    result = quality.compute()
    assert result.all and result.things and result.stuff
    recorded = record_of(name)
    assert recorded["scenes"] == {"seed": TEST_SCENES_SEED, "count": 300, "size": [192, 256]}
    least = LEAST[name]
    assert recorded["all"]["pq"] >= least[0]
    # fewer scenes of the same kind: near the figure, not equal to it
    assert result.all.pq == pytest.approx(recorded["all"]["pq"], abs=0.04)
    assert result.things.pq > least[1]
    assert result.stuff.pq > least[2]


@pytest.mark.parametrize("name", LEAST)
def test_its_size_is_recorded(name: str) -> None:
    recorded = record_of(name)
    assert recorded["bytes"] == embedded_path(name).stat().st_size <= 8_000_000
    parameters = sum(p.numel() for p in load_model(name).parameters())
    assert recorded["parameters"] == parameters <= 3_000_000


def test_every_embedded_model_is_tested() -> None:
    assert set(EMBEDDED) == {*LEAST, *PHOTOGRAPHS}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_models_of_photographs(name: str) -> None:
    """Small enough to ship, with their licence and what their record says of them."""
    assert embedded_path(name).stat().st_size <= 8_000_000
    spec = preset(name)
    model = load_model(name)
    assert spec.config.backbone == "efficientnet_lite0"  # type: ignore[attr-defined]
    assert len(model.categories) == 43 and "person" in model.categories.names
    choice = json.loads((BENCHMARKS / "photo" / f"choice-{name}.json").read_text())
    settings = model.merge_settings
    if settings.calibration_each:
        things, stuff = (choice[f"calibration_{group}"] for group in ("things", "stuff"))
        each = [things if is_thing else stuff for is_thing in model.categories.is_thing]
        assert [list(pair) for pair in settings.calibration_each] == each
    else:
        assert list(settings.calibration) == pytest.approx(choice["calibration"])
    before, after = (
        choice[f"reliability_{one}"]["expected_calibration_error"] for one in ("before", "after")
    )
    assert after < before
    assert "Apache-2.0" in read_header(embedded_path(name)).extra["licence"]
