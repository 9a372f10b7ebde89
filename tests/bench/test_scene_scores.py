"""Settings are chosen by what they score, and the network runs once for all of them."""

from typing import Any

import pytest
import torch

from pansight.bench.scene_scores import best_settings, predictions, quality
from pansight.metrics import PanopticQuality
from pansight.models.base import PanopticModel
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import SceneDataset
from pansight.zoo import load_model

SCENES = list(SceneDataset(5, (96, 128), 3))


@pytest.fixture(scope="module")
def model() -> PanopticModel:
    return load_model("yoso-tiny")


def test_the_score_is_that_of_the_segmenter(model: PanopticModel) -> None:
    segment = Segmenter(TorchEngine(model, device="cpu", mode="eager"))
    measured = PanopticQuality(model.categories)
    for scene in SCENES:
        measured.update(segment(scene.image), scene.panoptic)
    result = quality(model, predictions(model, SCENES, batch_size=1)).all
    expected = measured.compute().all
    assert result is not None
    assert expected is not None
    assert result.pq == pytest.approx(expected.pq, abs=1e-12)


def test_the_best_of_a_grid_is_found_and_applied(
    model: PanopticModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = predictions(model, SCENES)

    def no_network(images: Any) -> Any:
        raise AssertionError("the network ran again")

    monkeypatch.setattr(model, "forward", no_network)
    thresholds = (0.3, 0.9, 0.99)
    scores = {}
    for threshold in thresholds:
        found = quality(model, kept, {"object_threshold": threshold}).all
        assert found is not None
        scores[threshold] = found.pq
    assert len(set(scores.values())) == 3
    chosen, best = best_settings(model, kept, {"object_threshold": thresholds})
    assert best == max(scores.values())
    assert scores[chosen["object_threshold"]] == best
    assert model.merge_settings.object_threshold == chosen["object_threshold"]
    assert torch.is_tensor(kept[0].outputs.class_logits)
