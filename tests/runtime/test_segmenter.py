"""One call from picture to map: sizes, batches, thresholds, devices, and networks that go wrong."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pansight
from pansight.errors import CheckpointError, DeviceError, InputError, PansightError
from pansight.models.yoso import YOSO, YOSOMergeSettings
from pansight.nn.conv import ConvNorm
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.runtime.devices import choose_device
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter, load
from pansight.zoo import load_model, save_native


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def segmenter(small_model: YOSO) -> Segmenter:
    return Segmenter(TorchEngine(small_model, device="cpu"))


def check(panoptic: PanopticMap, height: int, width: int) -> None:
    assert panoptic.ids.shape == (height, width)
    assert sum(segment.area for segment in panoptic.segments) == np.count_nonzero(panoptic.ids)
    assert all(0 < segment.score <= 1 for segment in panoptic.segments if segment.score is not None)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33), (480, 640)])
@pytest.mark.parametrize("resize", ["paper", "none", 48])
def test_any_size(small_model: YOSO, size: tuple[int, int], resize: Any) -> None:
    if resize == 48 and max(size) == 5000:  # the short side rules: 48 x 240000, which is as wanted
        return
    check(Segmenter(TorchEngine(small_model, device="cpu", resize=resize))(noise(*size)), *size)


def test_every_kind_of_picture_gives_the_same_map(segmenter: Segmenter, tmp_path: Path) -> None:
    pixels = noise(40, 60)
    path = tmp_path / "picture.png"
    picture = Image.fromarray(pixels)
    picture.save(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = segmenter(pixels)
    assert len(expected.segments) > 1, "the test says little of an empty map"
    sources: list[Any] = [path, str(path), picture, tensor, tensor / 255, pixels / 255]
    for source in sources:
        assert segmenter(source).same_as(expected)
    for maps in (segmenter(sources), segmenter(tuple(sources))):
        assert [one.same_as(expected) for one in maps] == [True] * len(sources)
    assert segmenter([]) == []


def test_batch_size_changes_no_result(small_model: YOSO) -> None:
    sizes = [(40, 60), (60, 40), (40, 60), (7, 90), (44, 66), (40, 60)]
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    alone = [Segmenter(TorchEngine(small_model, device="cpu"))(picture) for picture in pictures]
    for batch_size in (2, 3, 10):
        together = Segmenter(TorchEngine(small_model, device="cpu"), batch_size=batch_size)(pictures)
        for one, other, size in zip(alone, together, sizes, strict=True):
            check(other, *size)
            # rounding depends on the batch, and may move a pixel on a border
            assert np.mean(one.semantic() != other.semantic()) < 0.01


def test_no_more_than_a_batch_enters_the_network(small_model: YOSO, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = YOSO.forward

    def counted(model: YOSO, images: torch.Tensor, *args: Any) -> Any:
        seen.append(len(images))
        return forward(model, images, *args)

    monkeypatch.setattr(YOSO, "forward", counted)
    Segmenter(TorchEngine(small_model, device="cpu"), batch_size=2)([noise(40, 60)] * 5)
    assert seen == [2, 2, 1]


def test_the_model_given_stays_as_it_was(small_model: YOSO) -> None:
    before = {key: value.clone() for key, value in small_model.state_dict().items()}
    small_model.train()
    try:
        for fold in (True, False):
            engine = TorchEngine(
                small_model,
                device="cpu",
                mode="folded" if fold else "eager",
                merge={"object_threshold": 0.9},
            )
            Segmenter(engine)(noise(32, 32))
            assert not engine.model.training
        assert small_model.training
    finally:
        small_model.eval()
    assert small_model.merge_settings.object_threshold == 0
    assert all(parameter.requires_grad for parameter in small_model.parameters())
    after = small_model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert any(isinstance(module, ConvNorm) for module in small_model.modules())


def test_folding_changes_no_map(small_model: YOSO) -> None:
    picture = noise(40, 60)
    folded, plain = (
        Segmenter(TorchEngine(small_model, device="cpu", mode="folded" if fold else "eager"))(picture)
        for fold in (True, False)
    )
    assert np.mean(folded.semantic() != plain.semantic()) < 0.01


def test_thresholds(small_model: YOSO) -> None:
    picture = noise(40, 60)
    scores = [
        s.score
        for s in Segmenter(TorchEngine(small_model, device="cpu"))(picture).segments
        if s.score is not None
    ]
    limit = sorted(scores)[-1]
    assert (
        Segmenter(TorchEngine(small_model, device="cpu", merge={"object_threshold": 1.0}))(picture).segments
        == ()
    )
    assert (
        Segmenter(TorchEngine(small_model, device="cpu", merge={"object_threshold": limit}))(picture).segments
        == ()
    )
    assert (
        Segmenter(TorchEngine(small_model, device="cpu", merge=YOSOMergeSettings(keep_share=1e9)))(
            picture
        ).segments
        == ()
    )
    wrong: list[dict[str, Any]] = [
        {"object_threshold": 1.5},
        {"object_threshold": float("nan")},
        {"keep_share": -0.1},
    ]
    for options in wrong:
        with pytest.raises(InputError, match="out of range"):
            Segmenter(TorchEngine(small_model, device="cpu", merge=options))


def test_a_share_has_an_upper_end() -> None:
    with pytest.raises(InputError, match=r"merge.max_occlusion 5.0 is out of range"):
        load("epsnet-tiny", device="cpu", merge={"max_occlusion": 5.0})
    with pytest.raises(InputError, match=r"no merge.keep_share; it has merge.object_threshold, merge.budget"):
        load("epsnet-tiny", device="cpu", merge={"keep_share": 0.5})
    with pytest.raises(InputError, match="takes EPSNetMergeSettings, not YOSOMergeSettings"):
        load("epsnet-tiny", device="cpu", merge=YOSOMergeSettings())


def test_values_that_make_no_sense(small_model: YOSO) -> None:
    with pytest.raises(InputError, match="batch size must be 1 or more, got 0"):
        Segmenter(TorchEngine(small_model, device="cpu"), batch_size=0)
    unchecked: Any = TorchEngine
    with pytest.raises((InputError, TypeError)):
        unchecked(small_model, device="cpu", resize="huge")
    with pytest.raises(InputError, match="resize 0"):
        Segmenter(TorchEngine(small_model, device="cpu", resize=0))


def test_an_input_too_large_for_any_network(small_model: YOSO) -> None:
    with pytest.raises(InputError, match=r"5000 x 1 would enter .* 640000 x 128 .* paper"):
        Segmenter(TorchEngine(small_model, device="cpu", resize=128))(noise(1, 5000))


def test_a_bad_picture_of_a_list_is_named(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image 2 of 3: "):
        segmenter([noise(8, 8), noise(8, 8).astype(float), noise(8, 8)])
    with pytest.raises(InputError, match=r"gone\.jpg: no such file"):
        segmenter([noise(8, 8), tmp_path / "gone.jpg"])
    with pytest.raises(InputError, match="NaN"):
        segmenter(np.full((8, 8, 3), np.nan))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "key",
    [
        "backbone.res2.0.conv1.weight",
        "yoso_neck.deconv.lateral_conv0.weight",
        "yoso_neck.deconv.output_conv.weight",
        "yoso_head.mask_heads.0.fc_mask.weight",
        "yoso_head.mask_heads.1.fc_cls.weight",
    ],
)
def test_damaged_weights_are_an_error_not_a_map(small_model: YOSO, value: float, key: str) -> None:
    model = copy.deepcopy(small_model)
    engine = TorchEngine(model, device="cpu", mode="eager")
    model.state_dict()[key].flatten()[0] = value
    with pytest.raises(CheckpointError, match="not all weights are finite"):
        Segmenter(TorchEngine(model, device="cpu"))
    # what breaks later, or overflows, shows in the outputs
    engine.model.state_dict()[key].flatten()[0] = value
    with pytest.raises(CheckpointError, match="output is not finite"):
        Segmenter(engine)(noise(40, 60))


@pytest.mark.parametrize("name", ["thing_generator", "stuff_generator"])
def test_weights_that_the_merge_alone_uses_count_too(name: str) -> None:
    model = load_model("panoptic-fcn-tiny")
    model.state_dict()[f"{name}.embed_extractor.weight"][0] = torch.nan
    with pytest.raises(CheckpointError, match="not all weights are finite"):
        Segmenter(TorchEngine(model, device="cpu"))


def test_lack_of_memory_is_told(small_model: YOSO, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"))

    def fail(message: str) -> Callable[..., None]:
        def forward(*args: Any) -> None:
            raise RuntimeError(message)

        return forward

    monkeypatch.setattr(YOSO, "forward", fail("DefaultCPUAllocator: can't allocate memory: you tried 9 EB"))
    with pytest.raises(DeviceError, match="not enough memory for 1 x 96 x 64 pixels on cpu"):
        segmenter(noise(40, 60))
    monkeypatch.setattr(YOSO, "forward", fail("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        segmenter(noise(40, 60))


def test_load(small_model: YOSO, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_native(small_model, path)
    picture = noise(40, 60)
    segmenter = pansight.load(path, device="cpu", merge={"keep_share": 0.0})
    assert segmenter.categories == small_model.categories
    assert segmenter(picture).same_as(Segmenter(TorchEngine(small_model, device="cpu"))(picture))
    assert load(str(path), merge={"object_threshold": 1.0}, device="cpu")(picture).segments == ()
    with pytest.raises(PansightError, match="yoso-tiny"):
        load("yoso-tiyn", device="cpu")
    with pytest.raises(PansightError, match="is a file"):
        load(path, weights=path, device="cpu")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for absent in ("cuda", "cuda:0", "mps", torch.device("cuda")):
        with pytest.raises(DeviceError, match="no device"):
            choose_device(absent)
    with pytest.raises(DeviceError, match="'gpu' is not a device"):
        choose_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device().type == "cuda"
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="no device cuda:2"):
        choose_device("cuda:2")


class Far:
    """An engine on an accelerator, as far as the Segmenter can tell: it does not wait for its answers."""

    device = "far"
    max_batch = 2

    def __init__(self, near: TorchEngine, scores: float, overflow: bool) -> None:
        self.near, self.scores, self.overflow = near, scores, overflow
        self.spec = near.spec

    def __call__(self, frames: Any, sizes: Any = None) -> PanopticBatch:
        batch = self.near(frames, sizes)
        scores = torch.where(torch.tensor(self.scores > 0), batch.scores, torch.nan)
        return batch._replace(scores=scores, overflow=torch.tensor([self.overflow] * len(frames)))


def test_what_an_accelerator_says_late(small_model: YOSO, caplog: pytest.LogCaptureFixture) -> None:
    near = TorchEngine(small_model, device="cpu")
    picture = noise(40, 60)
    segmenter = Segmenter(Far(near, 1.0, False), batch_size=9)
    assert segmenter.batch_size == 2, "the engine takes no more"
    assert segmenter(picture).same_as(Segmenter(near)(picture))
    assert not caplog.records
    Segmenter(Far(near, 1.0, True))(picture)
    assert "raise merge.budget" in caplog.text
    with pytest.raises(CheckpointError, match="output is not finite"):
        Segmenter(Far(near, float("nan"), False))(picture)
    assert Segmenter(Far(near, float("nan"), False)).tensors([picture]).scores.isnan().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_map(small_model: YOSO) -> None:
    picture = noise(40, 60)
    here = Segmenter(TorchEngine(small_model, device="cpu"))(picture)
    there = Segmenter(TorchEngine(small_model, device="cuda"))(picture)
    assert np.mean(here.semantic() != there.semantic()) < 0.02
