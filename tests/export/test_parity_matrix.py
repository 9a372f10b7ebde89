"""Every method, target, cut and precision that is said to be validated gives torch's ids."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pansight.export.conversion import SUFFIXES, Target, describe, write_artefact
from pansight.export.support import METHODS, Cell, support
from pansight.export.verification import made_up_images, reference, verify
from pansight.models.base import PanopticModel
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.opening import EngineOptions, open_engine
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("method", METHODS)
def test_network_cuts_give_torchs_ids(
    method: str, target: Target, trained: Callable[[str], PanopticModel], tmp_path: Path
) -> None:
    model = trained(method)
    path = tmp_path / f"model{SUFFIXES[target]}"
    write_artefact(model, target, describe(model, target, name="tried"), path)
    engine = open_engine(path)
    found = verify(engine, reference(model, engine, EngineOptions()), made_up_images())
    assert found.segments > 20 and len(found.differing) == 10
    assert found.share <= 1e-4, found.told()
    assert support(Cell(method, target, "network", "float32")).status == "validated"

    described = engine.spec
    assert described.categories == model.categories and described.config == model.config
    images = made_up_images(3)
    assert isinstance(engine, NetworkEngine)
    if method == "panoptic_fcn":
        twin = TorchEngine(model, device="cpu")
        ours, theirs = Segmenter(engine), Segmenter(twin)
        one, other = ours.instances(images[0]), theirs.instances(images[0])
        assert len(one.scores) == len(other.scores) > 0
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        assert np.mean(ours.semantics(images[0]) != theirs.semantics(images[0])) < 1e-3


def test_images_of_one_size_go_in_one_batch(small_yoso: PanopticModel, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_artefact(small_yoso, "onnx", describe(small_yoso, "onnx"), path)
    engine = open_engine(path, options=EngineOptions(merge={"object_threshold": 0.0}))
    image = made_up_images(1)[0]
    images = [image, image[::-1].copy(), image[:, ::-1].copy()]
    together = Segmenter(engine, batch_size=3)(images)
    for one, alone in zip(together, (Segmenter(engine)(image) for image in images), strict=True):
        assert np.mean(one.ids != alone.ids) < 1e-3


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("lowering", ["grid", "gather"])
def test_both_forms_of_deformable_convolutions_and_a_fixed_size(
    target: Target, lowering: str, small_yoso: PanopticModel, tmp_path: Path
) -> None:
    path = tmp_path / f"model{SUFFIXES[target]}"
    description = describe(small_yoso, target, size=(64, 96), lowering=lowering)  # type: ignore[arg-type]
    write_artefact(small_yoso, target, description, path)
    engine = open_engine(path)
    assert engine.spec.preprocess.fit == (64, 96)
    found = verify(engine, reference(small_yoso, engine, EngineOptions()), made_up_images(4))
    assert found.share <= 2e-3, found.told()  # untrained: many ties
