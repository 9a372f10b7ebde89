"""The native file: what goes in comes out, and nothing else gets in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pansight import __version__
from pansight.errors import CheckpointError, InputError
from pansight.models.preprocess import Preprocess, Sizes
from pansight.models.yoso import YOSOMergeSettings
from pansight.zoo import load_native, read_header, save_native
from pansight.zoo.methods import construct, parameter_count


@pytest.fixture
def saved(tmp_path: Path, make_model: Callable[..., Any]) -> Path:
    path = tmp_path / "model.safetensors"
    save_native(make_model(), path, extra={"pq": 81.5, "note": ["a", None]})
    return path


def rewrite(path: Path, **changes: str | None) -> None:
    """Replace fields of the header."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
    save_file(load_file(path), path, {key: value for key, value in metadata.items() if value is not None})


def test_round_trip(saved: Path, make_model: Callable[..., Any], same: Callable[..., bool]) -> None:
    model, loaded = make_model(), load_native(saved)
    assert same(model, loaded)
    assert loaded.config == model.config
    assert loaded.categories == model.categories
    assert loaded.categories.name == "garden"
    assert loaded.preprocess == model.preprocess
    assert not loaded.training
    assert {tensor.dtype for tensor in loaded.state_dict().values() if tensor.is_floating_point()} == {
        torch.float32
    }
    images, sizes = torch.rand(1, 3, 64, 64), Sizes((64, 64), [(64, 64)], [(40, 50)])
    assert torch.equal(loaded.predict(images, sizes).ids, model.predict(images, sizes).ids)


def test_header_says_it_all_without_the_tensors(saved: Path) -> None:
    header = read_header(saved)
    assert header.method == "yoso"
    assert header.pansight_version == __version__
    assert header.extra == {"pq": 81.5, "note": ["a", None]}
    assert header.categories.names == ("sky", "dog")


def test_merge_settings_travel(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    merge = YOSOMergeSettings(object_threshold=0.125, keep_share=0.5, budget=9)
    model = make_model(temperature=0.25, merge=merge)
    save_native(model, tmp_path / "m.safetensors")
    loaded: Any = load_native(tmp_path / "m.safetensors")
    assert loaded.config.merge == merge
    assert loaded.config.temperature == 0.25


def test_a_preprocess_set_by_the_user_travels(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    model = make_model()
    model.preprocess = Preprocess(squash=(48, 64), channels="bgr")
    save_native(model, tmp_path / "m.safetensors")
    assert load_native(tmp_path / "m.safetensors").preprocess == model.preprocess


def test_files_of_before_there_was_merge_still_load(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    """`overlap_threshold` was YOSO's share to keep, and of the others what better masks may hold."""
    path = tmp_path / "m.safetensors"
    save_native(make_model(), path)
    with safe_open(path, framework="pt") as file:
        metadata, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    config = json.loads(metadata["config"])
    del config["merge"]
    config |= {"object_threshold": 0.125, "overlap_threshold": 0.5}
    save_file(state, path, {**metadata, "config": json.dumps(config)})
    loaded: Any = load_native(path)
    assert (loaded.config.merge.object_threshold, loaded.config.merge.keep_share) == (0.125, 0.5)


def test_half_rounds_what_is_large_only(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    model = make_model(width=16, hidden_dim=64)
    with torch.no_grad():
        model.backbone.stem.conv1.norm.running_var.fill_(1e6)  # beyond half precision
        model.yoso_head.kernels.weight[0, 0] = 1e5  # idem, so the whole tensor stays as it is
    save_native(model, tmp_path / "full.safetensors")
    save_native(model, tmp_path / "half.safetensors", dtype="float16")
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    loaded = load_native(tmp_path / "half.safetensors")
    before, after = model.state_dict(), loaded.state_dict()
    assert torch.equal(before["yoso_head.kernels.weight"], after["yoso_head.kernels.weight"])
    rounded = 0
    for key, tensor in before.items():
        assert after[key].dtype == tensor.dtype
        if tensor.dim() < 2:
            assert torch.equal(after[key], tensor), key
        else:
            assert ((after[key] - tensor).abs() <= 2.0**-11 * tensor.abs()).all(), key
            rounded += int(not torch.equal(after[key], tensor))
    assert rounded > 10


def test_a_live_norm_keeps_its_count(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    model = make_model(backbone_norm="batch")
    model.backbone.stem.conv1.norm.num_batches_tracked.fill_(7)
    save_native(model, tmp_path / "m.safetensors", dtype="float16")
    loaded: Any = load_native(tmp_path / "m.safetensors")
    count = loaded.backbone.stem.conv1.norm.num_batches_tracked
    assert count == 7
    assert count.dtype == torch.int64


def test_a_folded_model_is_refused(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    with pytest.raises(CheckpointError, match=r"optimized\(\); save the original"):
        save_native(make_model().optimized(), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_only_safetensors_names(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        save_native(make_model(), tmp_path / "m.pth")


def test_a_failed_write_leaves_the_old_file(
    saved: Path, make_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pansight.zoo.native.save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save_native(make_model(), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_loading_leaves_the_generator_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_native(saved)
    assert torch.equal(torch.rand(1), expected)


def test_a_blank_model_has_the_same_tensors_and_no_noise(make_spec: Callable[..., Any]) -> None:
    spec = make_spec(depth=50, backbone_norm="batch", attention="mhca")
    parts = (spec.method, spec.config, spec.categories, spec.preprocess)
    blank, real = construct(*parts, blank=True), construct(*parts)
    shapes = [{k: (v.shape, v.dtype) for k, v in m.state_dict().items()} for m in (blank, real)]
    assert shapes[0] == shapes[1]
    assert parameter_count(blank) == parameter_count(real)
    assert all(p.requires_grad for p in blank.parameters())
    assert all(p.dim() == 1 or not p.any() for p in blank.parameters())
    assert sum(bool(p.any()) for p in real.parameters() if p.dim() > 1) > 50


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": None}, "bare weights without a configuration"),
        ({"format_version": "2"}, "upgrade pansight"),
        ({"format_version": "x"}, "damaged header"),
        ({"method": "unheard"}, "no method 'unheard'"),
        ({"method": None}, "damaged header"),
        ({"config": '{"proposals": -1}'}, "proposals = -1 is not allowed"),
        ({"config": '{"unknown": 1}'}, "unknown = 1 is not allowed"),
        ({"config": "{"}, "Invalid JSON"),
        ({"config": '{"hidden_dim": 15}'}, "cannot be built"),
        ({"config": '{"hidden_dim": 1000000000000000, "heads": 1}'}, "cannot be built"),
        ({"config": '{"proposals": 6}'}, "does not hold what its header says"),
        ({"categories": "[]"}, "damaged header"),
        ({"categories": '{"name": "x", "items": [{"id": 1}]}'}, "damaged header"),
        ({"categories": '{"name": "x", "items": [{"id": 1, "name": "a", "isthing": 1}]}'}, "mis-shaped"),
        ({"preprocess": '{"short": 0}'}, "short = 0 is not allowed"),
    ],
)
def test_headers_that_lie(saved: Path, changes: dict[str, str | None], says: str) -> None:
    rewrite(saved, **changes)
    with pytest.raises(CheckpointError) as caught:
        load_native(saved)
    message = str(caught.value)
    assert says in message
    assert str(saved) in message or "no method" in message
    assert "\n" not in message


def test_missing_unexpected_and_misshaped_tensors_are_named(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    state = load_file(saved)
    del state["yoso_head.kernels.bias"]
    state["surplus"] = torch.zeros(1)
    state["yoso_neck.loc_conv.bias"] = torch.zeros(3)
    save_file(state, saved, metadata)
    with pytest.raises(CheckpointError) as caught:
        load_native(saved)
    message = str(caught.value)
    assert "1 missing: yoso_head.kernels.bias" in message
    assert "1 unexpected: surplus" in message
    assert "1 mis-shaped: yoso_neck.loc_conv.bias is 3, not 16" in message


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    cut = saved.with_name("cut.safetensors")
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        load_native(cut)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, b"<html></html>"])
def test_no_safetensors_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot read") as caught:
        load_native(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="cannot read"):
            load_native(path)


def test_metadata_is_text_that_others_can_read(saved: Path) -> None:
    with safe_open(saved, framework="np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pansight"
    assert json.loads(metadata["config"])["proposals"] == 5
    assert json.loads(metadata["categories"])["items"][1] == {
        "id": 9,
        "name": "dog",
        "isthing": 1,
        "color": [255, 0, 0],
        "supercategory": "",
    }


def test_the_file_has_the_permissions_of_any_new_file(saved: Path) -> None:
    plain = saved.parent / "plain"
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_what_compiling_and_wrapping_put_before_keys_is_taken_off(
    saved: Path, prefix: str, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    save_file({f"{prefix}{key}": value for key, value in load_file(saved).items()}, saved, metadata)
    assert same(make_model(), load_native(saved))
