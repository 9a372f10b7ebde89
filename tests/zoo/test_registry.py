"""From names and files to models."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.errors import CheckpointError, CheckpointWarning, InputError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSOMergeSettings
from pansight.zoo import available, build, cache, load_model, preset, presets, save_native
from pansight.zoo.methods import construct
from pansight.zoo.spec import ModelSpec, ReleasedFile


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_spec: Callable[..., Any]) -> list[Any]:
    """A zoo of two small models, their files nowhere."""
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path / "home"))
    file = ReleasedFile("small.pth", "http://127.0.0.1:9/small.pth")
    specs = [
        dataclasses.replace(make_spec("small"), weights=(file,)),
        make_spec("small-wide", proposals=6),
    ]
    specs.append(
        dataclasses.replace(
            specs[0], name="small-large", preprocess=specs[0].preprocess.resized(320), weights=()
        )
    )
    monkeypatch.setattr(presets, "released", lambda: tuple(specs))
    monkeypatch.setattr(presets, "EMBEDDED", {})
    return specs


def where(spec: ModelSpec) -> str:
    return cache.weights_state(spec.embedded, [file.name for file in spec.weights])


def test_a_name_downloads_once_and_loads(
    zoo: list[Any], server: Any, tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    torch.save({"model": make_model().state_dict()}, tmp_path / "released.pth")
    server.content = (tmp_path / "released.pth").read_bytes()
    zoo[0] = dataclasses.replace(zoo[0], weights=(server.file(),))
    assert where(zoo[0]) == "to download"
    for _ in range(2):
        model = load_model("small")
        assert same(model, make_model())
        assert model.preprocess == zoo[0].preprocess
    assert len(server.requests) == 1
    assert where(zoo[0]) == "cached"


def test_a_released_file_that_is_no_weights_file_is_named(
    zoo: list[Any], server: Any, tmp_path: Path
) -> None:
    server.content = b"not found, but politely"
    zoo[0] = dataclasses.replace(zoo[0], weights=(server.file(),))
    with pytest.raises(CheckpointError, match=r"home.weights.weights\.pth is not a weights file"):
        load_model("small")


def test_a_path_to_a_native_file(
    zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    model = make_model(proposals=9)  # of no model in the zoo
    save_native(model, tmp_path / "mine.safetensors")
    (tmp_path / "mine.safetensors").rename(tmp_path / "mine.pth")  # the content counts, not the name
    for path in (tmp_path / "mine.pth", str(tmp_path / "mine.pth")):
        assert same(load_model(path), model)


def test_a_path_to_a_released_file_is_recognised(
    zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any]
) -> None:
    torch.save(make_model(proposals=6).state_dict(), tmp_path / "w.pth")
    model: Any = load_model(tmp_path / "w.pth")
    assert model.config == zoo[1].config
    torch.save(make_model(proposals=7).state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="fits no known model"):
        load_model(tmp_path / "w.pth")


def test_a_file_that_fits_several_says_so(
    zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any]
) -> None:
    model: Any = make_model()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.warns(CheckpointWarning, match=r"w\.pth is read as small; it fits small-large, too: give"):
        assert load_model(tmp_path / "w.pth").preprocess == zoo[0].preprocess


def test_the_published_name_of_a_file_decides(
    zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any], recwarn: pytest.WarningsRecorder
) -> None:
    zoo[2] = dataclasses.replace(zoo[2], weights=(ReleasedFile("large.pth", "http://127.0.0.1:9/large.pth"),))
    torch.save(make_model().state_dict(), tmp_path / "large.pth")
    assert load_model(tmp_path / "large.pth").preprocess.short == 320
    assert not [note for note in recwarn if note.category is CheckpointWarning]


def test_a_name_with_a_released_file(zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any]) -> None:
    torch.save(make_model().state_dict(), tmp_path / "w.pth")
    model = load_model("small-large", weights=tmp_path / "w.pth")
    assert model.preprocess.short == 320
    with pytest.raises(CheckpointError, match=r"w\.pth does not fit small-wide"):
        load_model("small-wide", weights=tmp_path / "w.pth")


def test_a_name_with_a_native_file(zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any]) -> None:
    path = tmp_path / "mine.safetensors"
    trained = make_model(temperature=0.5, merge=YOSOMergeSettings(object_threshold=0.25))
    trained.preprocess = Preprocess(short=64, channels="bgr", std=(1.0, 2.0, 3.0), divisor=64)
    save_native(trained, path)
    model: Any = load_model("small-large", weights=path)
    # how large pictures become is the name's; what colours are is the weights'
    assert model.preprocess == Preprocess(short=320, channels="bgr", std=(1.0, 2.0, 3.0), divisor=64)
    assert (model.config.temperature, model.config.merge.object_threshold) == (0.5, 0.25)
    with pytest.raises(CheckpointError, match=r"does not fit small-wide .*give no name with it"):
        load_model("small-wide", weights=path)


def test_a_name_without_weights(zoo: list[Any]) -> None:
    assert where(zoo[1]) == "none"
    with pytest.raises(CheckpointError, match="small-wide has no published weights; give a weights file"):
        load_model("small-wide")


def test_two_files_at_once(zoo: list[Any], tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(InputError, match="give one file, or a name and a file"):
        load_model(tmp_path / "w.pth", weights=tmp_path / "w.pth")


def test_an_embedded_model_says_itself_what_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    extra = {"description": "small and here", "pq": 81.5, "pq_source": "figure of its training"}
    save_native(make_model(), tmp_path / "yoso-tiny.safetensors", extra=extra)
    monkeypatch.setattr(presets, "ASSETS", tmp_path)
    spec = available()[0]
    assert (spec.name, spec.description, spec.categories_name) == ("yoso-tiny", "small and here", "garden")
    assert [(figure.pq, figure.source) for figure in spec.figures] == [(81.5, "figure of its training")]
    assert where(spec) == "embedded"
    assert same(load_model("yoso-tiny"), make_model())


@pytest.mark.parametrize("missing", ["weights.pth", "folder/weights", "./yoso-tiny"])
def test_a_path_that_is_not_there_is_no_unknown_name(missing: str) -> None:
    with pytest.raises(CheckpointError, match="No such file or directory; check the path"):
        load_model(missing)


def test_build_gives_a_model_to_train(zoo: list[Any], make_spec: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    first, second = build(make_spec()), build(make_spec())
    assert first.training
    key = "yoso_head.kernels.weight"
    assert not torch.equal(first.state_dict()[key], second.state_dict()[key])


def test_the_device(zoo: list[Any], tmp_path: Path, make_model: Callable[..., Any]) -> None:
    save_native(make_model(), tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors", map_location="meta")
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


@pytest.mark.slow
def test_the_coco_model_at_full_size_as_it_is_released(tmp_path: Path, same: Callable[..., bool]) -> None:
    spec = preset("yoso-r50-coco")
    model = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    for number, tensor in enumerate(model.state_dict().values()):
        if tensor.is_floating_point():
            tensor.fill_(number + 0.5)
    step = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    path = tmp_path / "yoso_res50_coco.pth"
    torch.save({"model": model.state_dict(), "optimizer": step, "iteration": 368749}, path)
    with pytest.warns(CheckpointWarning, match="it fits yoso-r50-coco-512, too"):
        loaded = load_model(path)
    assert same(loaded, model)
    assert loaded.config == spec.config
    assert loaded.preprocess == spec.preprocess
    assert loaded.categories == spec.categories
    # nearest is told among the real ones, too
    state = model.state_dict()
    state["yoso_head.kernels.bias"] = torch.zeros(101)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"nearest is yoso-r50-coco \(1 mis-shaped"):
        load_model(tmp_path / "w.pth")


@pytest.mark.slow
def test_the_reference_weights_load_and_answer_as_the_reference(shared_data: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(shared_data / "golden"))
    try:
        import golden  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    state, cases = golden.load(str(shared_data / "golden" / "yoso.npz"))
    torch.save({"model": dict(state), "iteration": 1}, tmp_path / "w.pth")
    model: Any = load_model(tmp_path / "w.pth")
    small = cases["small"]
    images, sizes = model.preprocess.resized("none").batch([small["image0"]])
    with torch.inference_mode():
        outputs = model(images)
    small.check("class_logits", outputs.class_logits.numpy())
    assert sizes.padded[0] % 32 == 0
