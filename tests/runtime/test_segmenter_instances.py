"""Instances and semantic maps of models that have their own, from pictures."""

import numpy as np
import pytest
import torch

from pansight.errors import InputError
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.yoso import YOSO
from pansight.panoptic.instances import Instances
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter

SIZES = [(40, 60), (60, 40), (40, 60), (44, 66)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pictures() -> list[np.ndarray]:
    return [noise(*size, seed) for seed, size in enumerate(SIZES)]


def check_alike(one: Instances, other: Instances) -> None:
    """The same but for rounding, which may move a pixel on a border."""
    assert one.categories.tolist() == other.categories.tolist()
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-3)
    assert np.mean(one.masks != other.masks) < 0.01


def test_instances_are_the_models(small_fcn: PanopticFCN) -> None:
    segmenter = Segmenter(TorchEngine(small_fcn, device="cpu", mode="eager"))
    assert segmenter.has_instances
    picture = noise(40, 60)
    found = segmenter.instances(picture)
    assert len(found) > 1, "the test says little where nothing is found"
    assert found.masks.shape[1:] == (40, 60) and found.masks.any()
    inputs, sizes = small_fcn.preprocess.batch([picture], torch.device("cpu"))
    with torch.inference_mode():
        (expected,) = small_fcn.instances(small_fcn(inputs), sizes)
    for mine, theirs in zip(
        (found.masks, found.boxes, found.categories, found.scores), expected, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs.numpy())
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.categories.tolist()) <= set(small_fcn.categories.thing_indices.tolist())


def test_thresholds_of_maps_do_not_apply(small_fcn: PanopticFCN) -> None:
    picture = noise(40, 60)
    strict = Segmenter(TorchEngine(small_fcn, device="cpu", merge={"object_threshold": 1.0}))
    assert not strict(picture).things()
    check_alike(strict.instances(picture), Segmenter(TorchEngine(small_fcn, device="cpu")).instances(picture))


@pytest.mark.parametrize("fold", [True, False])
def test_batches_equal_singles(small_fcn: PanopticFCN, fold: bool) -> None:
    single = Segmenter(TorchEngine(small_fcn, device="cpu", mode="folded" if fold else "eager"))
    together = Segmenter(
        TorchEngine(small_fcn, device="cpu", mode="folded" if fold else "eager"), batch_size=3
    )
    both = together.batch_with_instances(pictures())
    several, maps = together.instances(pictures()), together.semantics(pictures())
    assert len(both) == len(several) == len(maps) == len(SIZES)
    for picture, (panoptic, beside), found, semantic in zip(pictures(), both, several, maps, strict=True):
        alone = single.instances(picture)
        check_alike(alone, found)
        check_alike(alone, beside)
        assert np.mean(panoptic.semantic() != single(picture).semantic()) < 0.01
        assert semantic.shape == picture.shape[:2] and semantic.dtype == np.int32
        assert np.mean(semantic != single.semantics(picture)) < 0.01
    assert together.instances([]) == together.semantics([]) == together.batch_with_instances([]) == []


def test_the_network_runs_once_for_both(small_fcn: PanopticFCN, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = PanopticFCN.forward

    def counted(model: PanopticFCN, images: torch.Tensor) -> object:
        seen.append(len(images))
        return forward(model, images)

    monkeypatch.setattr(PanopticFCN, "forward", counted)
    Segmenter(TorchEngine(small_fcn, device="cpu"), batch_size=2).batch_with_instances([noise(40, 60)] * 3)
    assert seen == [2, 1]


def test_semantics_speak_of_stuff_alone(small_fcn: PanopticFCN, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter(TorchEngine(small_fcn, device="cpu"))
    stuff = small_fcn.categories.stuff_indices.tolist()
    labels = torch.tensor([[0, 1, 2], [2, 2, 0]]).repeat_interleave(20, 0).repeat_interleave(20, 1)
    # the second picture is smaller than the first; what lies beyond is -1
    batch = torch.stack((labels, torch.full_like(labels, -1)))
    batch[1, :34, :50] = 1
    monkeypatch.setattr(PanopticFCN, "semantics", lambda *_: batch)
    first, second = Segmenter(TorchEngine(small_fcn, device="cpu", resize="none"), batch_size=2).semantics(
        [noise(40, 60), noise(34, 50)]
    )
    assert first[::20, ::20].tolist() == [[-1, stuff[0], stuff[1]], [stuff[1], stuff[1], -1]]
    assert second.shape == (34, 50) and (second == stuff[0]).all()
    monkeypatch.undo()
    assert set(np.unique(segmenter.semantics(noise(40, 60))).tolist()) <= {-1, *stuff}


def test_models_without(small_model: YOSO) -> None:
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"))
    assert not segmenter.has_instances
    with pytest.raises(InputError, match="yoso has no instance output of its own; take the things"):
        segmenter.instances(noise(8, 8))
    with pytest.raises(InputError, match="yoso has no instance output of its own; use batch"):
        segmenter.batch_with_instances([noise(8, 8)])
    with pytest.raises(InputError, match="yoso has no semantic output of its own; take that of its maps"):
        segmenter.semantics([noise(8, 8)])


def test_a_bad_picture_of_a_list_is_named(small_fcn: PanopticFCN) -> None:
    with pytest.raises(InputError, match="image 2 of 2: "):
        Segmenter(TorchEngine(small_fcn, device="cpu")).instances([noise(8, 8), noise(8, 8).astype(float)])
