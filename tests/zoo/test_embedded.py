"""The embedded model does what its record in benchmarks/yoso-tiny says."""

import json
from pathlib import Path

import pytest

from pansight.data.scenes import SceneDataset
from pansight.metrics import PanopticQuality
from pansight.training.config import TEST_SCENES_SEED
from pansight.training.validation import batches_of_one_size, measure
from pansight.zoo import load_model
from pansight.zoo.presets import embedded_path

RECORD = Path(__file__).parents[2] / "benchmarks" / "yoso-tiny" / "figures.json"


@pytest.fixture(scope="module")
def quality() -> PanopticQuality:
    """On the first of the scenes that the record's figure is of."""
    model = load_model("yoso-tiny")
    scenes = SceneDataset(TEST_SCENES_SEED, (192, 256), 60)
    return measure(model, batches_of_one_size(list(scenes), 10), next(model.parameters()).device, 10)


@pytest.mark.slow
def test_unseen_scenes(quality: PanopticQuality) -> None:
    result = quality.compute()
    assert result.all and result.things and result.stuff
    recorded = json.loads(RECORD.read_text())
    assert recorded["scenes"] == {"seed": TEST_SCENES_SEED, "count": 300, "size": [192, 256]}
    assert recorded["all"]["pq"] >= 0.75
    # fewer scenes of the same kind: near the figure, not equal to it
    assert result.all.pq == pytest.approx(recorded["all"]["pq"], abs=0.04)
    assert result.things.pq > 0.7
    assert result.stuff.pq > 0.85


def test_its_size_is_recorded() -> None:
    recorded = json.loads(RECORD.read_text())
    assert recorded["bytes"] == embedded_path("yoso-tiny").stat().st_size <= 8_000_000
    parameters = sum(p.numel() for p in load_model("yoso-tiny").parameters())
    assert recorded["parameters"] == parameters <= 3_000_000
