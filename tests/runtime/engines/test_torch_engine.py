"""PyTorch as an engine: modes, precisions, devices' errors, threads."""

import copy
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from pansight.errors import CheckpointError, InputError
from pansight.models.normalise import Normalise
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO
from pansight.runtime.engines import DetailedEngine, Engine, TorchEngine, open_engine, opening
from pansight.runtime.engines.opening import EngineOptions, Runtime
from pansight.runtime.engines.torch_engine import in_float32
from pansight.runtime.segmenter import Segmenter
from pansight.zoo import load_model


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_it_is_an_engine(small_model: YOSO, small_fcn: PanopticFCN) -> None:
    yoso, fcn = (TorchEngine(model, device="cpu") for model in (small_model, small_fcn))
    assert isinstance(yoso, Engine) and isinstance(fcn, DetailedEngine)
    assert yoso.outputs == {"panoptic", "embeddings"}
    assert fcn.outputs == {"panoptic", "embeddings", "instances", "semantics"}
    assert yoso.device == "cpu" and yoso.form == "pruned" and yoso.max_batch is None
    assert yoso.spec.method == "yoso" and yoso.spec.categories == small_model.categories
    with pytest.raises(InputError, match="yoso has no instances of its own"):
        yoso.answers([noise(8, 8)], ["instances"])


def test_the_spec_says_what_is_in_force(small_model: YOSO) -> None:
    engine = TorchEngine(small_model, device="cpu", resize=48, merge={"keep_share": 0.25}, name="mine")
    assert engine.spec.name == "mine" and engine.spec.preprocess.short == 48
    assert engine.spec.config.merge.keep_share == 0.25  # type: ignore[attr-defined]
    assert small_model.merge_settings.keep_share == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "value"), [("void_below_each", 0.5), ("calibration_each", (1.0, 0.0))])
def test_values_by_category_are_one_each(small_model: YOSO, name: str, value: Any) -> None:
    count = len(small_model.categories)
    engine = TorchEngine(small_model, device="cpu", merge={name: [value] * count})
    assert engine([noise(40, 60)]).ids.shape == (1, 40, 60)
    said = rf"^merge\.{name} must have a value for each of the model's {count} categories, got 2$"
    with pytest.raises(InputError, match=said):
        TorchEngine(small_model, device="cpu", merge={name: [value] * 2})
    wrong = copy.deepcopy(small_model)
    own = small_model.merge_settings.replaced({name: [value] * 2})
    wrong.config = wrong.config.model_copy(update={"merge": own})
    with pytest.raises(InputError, match=said):
        TorchEngine(wrong, device="cpu")


@pytest.mark.parametrize("model", ["yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny"])
def test_merges_take_one_value_for_each_category(model: str) -> None:
    engine = TorchEngine(load_model(model), device="cpu")
    outputs = engine.run([noise(64, 64)])
    count = len(engine.spec.categories)
    engine.merge_outputs(*outputs, merge={"void_below_each": [0.5] * count})
    with pytest.raises(InputError, match=rf"^merge\.void_below_each must have .* {count} categories, got 1$"):
        engine.merge_outputs(*outputs, merge={"void_below_each": [0.5]})


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"precision": "int8"}, {"form": "loose"}])
def test_unknown_options_are_named(small_model: YOSO, options: dict[str, Any]) -> None:
    unchecked: Any = getattr(TorchEngine.__init__, "__wrapped__", TorchEngine.__init__)
    with pytest.raises(InputError, match=next(iter(options.values()))):
        unchecked(object.__new__(TorchEngine), small_model, device="cpu", **options)


def test_maps_may_have_another_size_than_their_frames(small_model: YOSO) -> None:
    engine = TorchEngine(small_model, device="cpu")
    frame = noise(40, 60)
    batch = engine([frame, frame], [(20, 30), (80, 120)])
    assert batch.ids.shape == (2, 80, 120)
    small, large = batch.to_maps(engine.spec.categories, [(20, 30), (80, 120)])
    assert np.mean(small.semantic() != large.semantic()[::4, ::4]) < 0.2
    with pytest.raises(InputError, match="1 sizes for 2 images"):
        engine([frame, frame], [(20, 30)])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", ["yoso", "panoptic_fcn"])
def test_half_precision_gives_nearly_the_same(
    small_model: YOSO, small_fcn: PanopticFCN, method: str, precision: Any
) -> None:
    model = small_model if method == "yoso" else small_fcn
    half = TorchEngine(model, device="cpu", precision=precision)
    frame = noise(40, 60)
    outputs = half.network(*_pixels(half, frame))
    assert all(t.dtype == torch.float32 for t in _floats(outputs)), "the merge works in float32"
    kinds = {p.dtype for name, p in half.model.named_parameters() if "generator" not in name}
    assert kinds == {getattr(torch, precision)}
    assert isinstance(half([frame]).ids, torch.Tensor)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("yoso-tiny", "bfloat16"),
        ("dense-tiny", "bfloat16"),
        ("dense-tiny", "float16"),
        ("epsnet-tiny", "bfloat16"),
        ("epsnet-tiny", "float16"),
    ],
)
def test_a_trained_network_agrees_in_half_precision(name: str, precision: Any) -> None:
    from pansight.scenes import render_scene

    frame = render_scene(0, 3, 96, 128).image
    model = load_model(name)
    full, half = (
        Segmenter(TorchEngine(model, device="cpu", precision=chosen))(frame)
        for chosen in ("float32", precision)
    )
    assert len(full.segments) > 2 and np.mean(full.semantic() == half.semantic()) > 0.9


def test_overflow_of_float16_is_told_as_such(small_model: YOSO) -> None:
    engine = TorchEngine(small_model, device="cpu", precision="float16")
    with torch.no_grad():
        engine.model.state_dict()["yoso_head.mask_heads.1.fc_cls.weight"].fill_(60_000)
    with pytest.raises(CheckpointError, match="leaves the range of float16; use precision bfloat16"):
        engine([noise(40, 60)])


def test_merging_again_with_other_settings(small_model: YOSO) -> None:
    engine = TorchEngine(small_model, device="cpu")
    frame = noise(40, 60)
    outputs, sizes = engine.run([frame])
    (usual,) = engine.merge_outputs(outputs, sizes).to_maps(engine.spec.categories)
    assert usual.segments and usual.same_as(Segmenter(engine)(frame))
    strict = engine.merge_outputs(outputs, sizes, {"object_threshold": 1.0})
    assert not strict.to_maps(engine.spec.categories)[0].segments


def test_eight_threads_share_one(small_model: YOSO) -> None:
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"), batch_size=2)
    sizes = [(40, 60), (60, 40), (33, 90), (64, 64)]
    frames = [noise(*size, seed) for seed, size in enumerate(sizes)]
    alone = [segmenter(frame) for frame in frames]

    def work(number: int) -> bool:
        order = [(number + step) % len(frames) for step in range(len(frames))]
        if number % 2:
            maps = [result.panoptic for result in segmenter.stream([frames[index] for index in order])]
        else:
            maps = [segmenter(frames[index]) for index in order]
        return all(
            found is not None and found.same_as(alone[index])
            for found, index in zip(maps, order, strict=True)
        )

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [True] * 8


def test_tensors_of_several_sizes(small_model: YOSO) -> None:
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"), batch_size=2)
    frames = [noise(40, 60, 1), noise(70, 30, 2), noise(40, 60, 3), noise(20, 30, 4)]
    batch = segmenter.tensors(frames)
    assert batch.ids.shape == (4, 70, 60)
    maps = batch.to_maps(segmenter.categories, [(f.shape[0], f.shape[1]) for f in frames])
    for found, frame, ids in zip(maps, frames, batch.ids, strict=True):
        assert np.mean(found.semantic() != segmenter(frame).semantic()) < 0.01
        assert not ids[frame.shape[0] :].any() and not ids[:, frame.shape[1] :].any()
    with pytest.raises(InputError, match="at least one"):
        segmenter.tensors([])


COMPILED = """
import functools, sys
import numpy as np, torch
from pansight.runtime.engines import TorchEngine
from pansight.zoo import load_model

captured = []

def remembered(graph, inputs):
    captured.append(graph)
    return graph.forward

# the real compiler's front end, without machine code, which takes a minute a network
torch.compile = functools.partial(torch.compile, backend=remembered, fullgraph=True)
model = load_model("yoso-tiny")
for form in ("pruned", "fixed"):
    compiled = TorchEngine(model, device="cpu", mode="compiled", form=form, resize="none")
    folded = TorchEngine(model, device="cpu", mode="folded", form=form, resize="none")
    for seed, (height, width) in enumerate(((64, 96), (96, 128), (128, 64))):
        frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        ids, expected = compiled([frame]).ids, folded([frame]).ids
        assert ids.shape == (1, height, width), ids.shape
        assert (ids != expected).float().mean() < 1e-3, (form, height, width)
# a graph for the first size, and one for all others
print(len(captured))
"""


def test_a_compiled_engine_takes_three_sizes() -> None:
    """In a process of its own: the checks of annotations in these tests are nothing that compiles."""
    found = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr[-3000:]
    assert int(found.stdout.split()[-1]) <= 4


def test_compiled_networks_are_called_one_at_a_time(
    small_model: YOSO, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[int] = []
    most: list[int] = []

    def compiled(network: torch.nn.Module) -> Callable[..., Any]:
        def call(*inputs: Any) -> Any:
            inside.append(1)
            most.append(len(inside))
            outputs = network(*inputs)
            inside.pop()
            return outputs

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    frame = noise(40, 60)
    expected = Segmenter(TorchEngine(small_model, device="cpu"))(frame)
    segmenter = Segmenter(TorchEngine(small_model, device="cpu", mode="compiled"))
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(segmenter, [frame] * 8))
    assert all(found.same_as(expected) for found in maps)
    assert len(most) == 8 and max(most) == 1


def test_normalisation_knows_padding_and_channels() -> None:
    preprocess = Preprocess(divisor=4, mean=(10, 20, 30), std=(2, 4, 5), channels="bgr")
    frames = [noise(4, 8, 1), noise(3, 5, 2)]
    pixels, sizes = preprocess.frames(frames)
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 4, 8)
    assert not sizes.filled
    images = Normalise(preprocess)(pixels, torch.tensor(sizes.valid))
    again, _ = preprocess.batch(frames)
    torch.testing.assert_close(images, again, rtol=0, atol=0)
    expected = (frames[1][..., ::-1].astype(np.float32) - (10, 20, 30)) / (2, 4, 5)
    np.testing.assert_allclose(images[1, :, :3, :5].permute(1, 2, 0), expected, rtol=1e-6)
    assert not images[1, :, 3:].any() and not images[1, :, :, 5:].any()
    assert not list(Normalise(preprocess).state_dict()), "checkpoints stay as they are"


def test_outputs_keep_their_shape_in_float32() -> None:
    nested = (torch.ones(2).half(), (torch.ones(1).bool(), torch.ones(1).bfloat16()))
    found = in_float32(nested)
    assert found[0].dtype == found[1][1].dtype == torch.float32 and found[1][0].dtype == torch.bool


def test_other_runtimes_plug_in(small_model: YOSO, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    engine = TorchEngine(small_model, device="cpu")
    asked: list[Any] = []

    def open_it(path: Any, options: EngineOptions) -> TorchEngine:
        asked.append((path, options))
        return engine

    monkeypatch.setitem(opening.RUNTIMES, "teapot", Runtime((".tea",), open_it, "teapot"))
    file = tmp_path / "green.tea"
    for name in ("auto", "teapot"):
        assert open_engine(file, name, EngineOptions(merge={"keep_share": 1})) is engine
    assert asked[0] == (file, EngineOptions(merge={"keep_share": 1}))
    with pytest.raises(InputError, match=r"green\.tea runs on teapot, not on compiled"):
        open_engine(file, "compiled")
    with pytest.raises(InputError, match="holds its weights"):
        open_engine(file, weights="x.safetensors")
    with pytest.raises(
        InputError, match=r"engine 'kettle' is unknown; use auto, torch, eager, compiled, .*teapot"
    ):
        open_engine("yoso-tiny", "kettle")


def _pixels(engine: TorchEngine, frame: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, sizes = engine.spec.preprocess.frames([frame])
    return pixels, torch.tensor(sizes.valid)


def _floats(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs] if outputs.is_floating_point() else []
    return [tensor for part in outputs for tensor in _floats(part)] if isinstance(outputs, tuple) else []
