"""Files as their authors release them, and files that only look so."""

import io
import os
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from pansight.errors import CheckpointError
from pansight.zoo.official import load_official, read_state, recognise
from pansight.zoo.pickles import to_protocol_2, torch_container


def arrays(model: torch.nn.Module) -> dict[str, Any]:
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


def as_bare(model: Any, path: Path) -> None:
    torch.save(model.state_dict(), path)


def as_trainer(model: Any, path: Path) -> None:
    """As detectron2's checkpointer leaves it."""
    parameters = list(model.parameters())
    moments = {
        index: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.ones_like(p)}
        for index, p in enumerate(parameters)
    }
    groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "foreach": None, "params": list(range(len(parameters)))}]
    content = {
        "model": model.state_dict(),
        "optimizer": {"state": moments, "param_groups": groups},
        "scheduler": {"milestones": Counter([327778, 355092]), "gamma": 0.1, "_last_lr": [np.float64(1e-6)]},
        "iteration": 368749,
    }
    torch.save(content, path)


def as_arrays(model: Any, path: Path) -> None:
    torch.save({"model": arrays(model)}, path)


def as_legacy(model: Any, path: Path) -> None:
    torch.save(OrderedDict(model.state_dict()), path, _use_new_zipfile_serialization=False)


def as_pickle_2(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": arrays(model), "__author__": "somebody"}, protocol=2))


def as_pickle_3(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": arrays(model), "matching_heuristics": True}, protocol=3))


def as_pickle_4(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": OrderedDict(arrays(model))}, protocol=4))


def as_pickle_5(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(arrays(model), protocol=5))


def as_safetensors(model: Any, path: Path) -> None:
    save_file(model.state_dict(), path)


def as_parallel(model: Any, path: Path) -> None:
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)


@pytest.mark.parametrize(
    "write",
    [
        as_bare, as_trainer, as_arrays, as_legacy, as_pickle_2, as_pickle_3, as_pickle_4, as_pickle_5,
        as_safetensors, as_parallel,
    ],
)  # fmt: skip
def test_every_form_gives_the_same_model(
    write: Callable[[Any, Path], None],
    tmp_path: Path,
    make_model: Callable[..., Any],
    make_spec: Callable[..., Any],
    same: Callable[..., bool],
) -> None:
    path = tmp_path / "weights.pth"
    model = make_model(backbone_norm="batch")
    write(model, path)
    loaded = load_official(make_spec(backbone_norm="batch"), read_state(path), path)
    assert same(loaded, model)
    assert not loaded.training


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@given(
    content=st.dictionaries(
        st.text(max_size=300),
        st.one_of(
            hnp.arrays(st.sampled_from(["f4", "f2", ">f8", "i8", "u1", "?"]), hnp.array_shapes(max_dims=3)),
            st.integers(-(2**80), 2**80),
            st.floats(allow_nan=False),
            st.binary(max_size=300),
            st.lists(st.one_of(st.none(), st.booleans(), st.text())),
            st.tuples(st.text(), st.text()),
        ),
    )
)
def test_pickles_of_any_protocol_mean_the_same_in_protocol_2(protocol: int, content: dict[str, Any]) -> None:
    # Our own pickles, so pickle may read them: what counts is that nothing was changed.
    pickled = pickle.dumps(content, protocol=protocol)
    assert repr(pickle.loads(to_protocol_2(pickled))) == repr(pickle.loads(pickled))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_foreign_byte_order_and_odd_strides(tmp_path: Path, protocol: int) -> None:
    content = {
        "big": np.arange(6, dtype=">f4"),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "one": np.float32(3),
    }
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    state = read_state(tmp_path / "w.pkl")
    assert state["big"].tolist() == [0, 1, 2, 3, 4, 5]
    assert state["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert state["one"].shape == ()
    assert state["one"] == 3


def test_shared_strings_and_objects_stay_shared() -> None:
    name, shared = "a name", np.arange(3)
    content = [name, shared, {name: shared}, name]
    again = pickle.loads(to_protocol_2(pickle.dumps(content, protocol=4)))
    assert again[0] == again[3] == name
    assert again[1] is again[2][name]


def test_the_safe_list_is_as_before_afterwards(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    as_arrays(make_model(), tmp_path / "w.pth")
    with torch.serialization.safe_globals([np.ndarray]):
        before = set(torch.serialization.get_safe_globals())
        read_state(tmp_path / "w.pth")
        assert set(torch.serialization.get_safe_globals()) == before


def test_what_a_file_may_lack_or_hold(
    tmp_path: Path, make_model: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    model, spec = make_model(), make_spec()
    state = model.state_dict()
    counts = [key for key in state if key.endswith("num_batches_tracked")]
    assert counts
    for key in [*counts, "yoso_head.criterion.empty_weight"]:
        del state[key]
    state["pixel_mean"] = state["pixel_std"] = torch.zeros(3, 1, 1)
    loaded: Any = load_official(spec, state, "w.pth")
    assert torch.equal(loaded.yoso_head.kernels.weight, model.yoso_head.kernels.weight)
    assert loaded.yoso_head.criterion.empty_weight.tolist() == pytest.approx([1, 1, 0.1])
    assert loaded.yoso_neck.deconv.deform_conv1.dcn_bn.num_batches_tracked == 0


def test_half_precision_and_double_become_single(
    make_model: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    state = make_model().state_dict()
    state["yoso_head.kernels.weight"] = state["yoso_head.kernels.weight"].half()
    state["yoso_head.kernels.bias"] = state["yoso_head.kernels.bias"].double()
    loaded = load_official(make_spec(), state, "w.pth").state_dict()
    assert loaded["yoso_head.kernels.weight"].dtype == loaded["yoso_head.kernels.bias"].dtype == torch.float32
    assert torch.equal(loaded["yoso_head.kernels.weight"], state["yoso_head.kernels.weight"].float())


def test_a_mismatch_is_one_error_with_counts_and_the_first_few(
    make_model: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    state = make_model().state_dict()
    for key in [key for key in state if key.startswith("backbone.res5")]:
        state[f"elsewhere.{key}"] = state.pop(key)
    gone = sum(key.startswith("elsewhere.") for key in state)
    state["yoso_head.kernels.weight"] = torch.zeros(7, 16, 1, 1)
    state["yoso_head.kernels.bias"] = torch.zeros(5, dtype=torch.int64)
    with pytest.raises(CheckpointError) as caught:
        load_official(make_spec(), state, "w.pth")
    message = str(caught.value)
    assert message.startswith("w.pth does not fit small")
    assert f"{gone} missing: backbone.res5.0.shortcut.weight" in message
    assert f"and {gone - 3} more" in message
    assert f"{gone} unexpected: elsewhere.backbone.res5" in message
    assert "2 mis-shaped" in message
    assert "yoso_head.kernels.weight is 7x16x1x1, not 5x16x1x1" in message
    assert "yoso_head.kernels.bias is int64, not floating point" in message
    assert "\n" not in message
    assert len(message) < 900


def test_shapes_tell_which_model_it_is(make_model: Callable[..., Any], make_spec: Callable[..., Any]) -> None:
    different: list[dict[str, Any]] = [
        {},
        {"proposals": 6},
        {"class_layers": 3, "mask_layers": 3},
        {"backbone_norm": "batch"},
        {"stages": 2},
    ]
    specs = [make_spec(f"model-{index}", **changes) for index, changes in enumerate(different)]
    for index, changes in enumerate(different):
        assert recognise(make_model(**changes).state_dict(), "w.pth", specs).name == f"model-{index}"
    with pytest.raises(
        CheckpointError, match=r"w\.pth fits no known model; nearest is model-0 \(.*mis-shaped"
    ):
        recognise(make_model(proposals=4).state_dict(), "w.pth", specs)
    with pytest.raises(CheckpointError, match="no model is known"):
        recognise({}, "w.pth", [])


class Evil:
    """Would leave a file behind, were it ever run."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


def malicious(path: Path, trace: Path, form: str) -> None:
    payload = {"model": {"weight": Evil(os.system, f"touch {trace}")}}
    if form == "eval":
        payload = {"model": {"weight": Evil(eval, f"open({str(trace)!r}, 'w')")}}
    if form in ("torch", "eval"):
        torch.save(payload, path)
    elif form == "legacy":
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(payload, protocol=int(form)))


@pytest.mark.parametrize("form", ["torch", "eval", "legacy", "2", "3", "4", "5"])
def test_code_is_named_and_never_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "w.pth", tmp_path / "trace"
    malicious(path, trace, form)
    name = r"(posix\.system|eval)"
    with pytest.raises(CheckpointError, match=rf"asks for {name}, which .* was not run") as caught:
        read_state(path)
    assert not trace.exists()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    # the payload is a real one
    if form == "4":
        pickle.loads(path.read_bytes())
        assert trace.exists()


def test_a_name_cannot_be_smuggled_in_by_a_line_break() -> None:
    smuggled = b"\x80\x04\x8c\x10numpy\nndarray\nXX\x8c\x07ndarray\x93."
    with pytest.raises(CheckpointError, match="damaged"):
        torch_container(smuggled, "w.pkl")


def zip_of(name: str, content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"just some text\n", "is not a weights file"),
        (b"\n <!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (b"<?xml version='1.0'?>", "is a web page"),
        (zip_of("readme.txt", "hello"), "as weights"),
        (zip_of("archive/data.pkl", "hello"), "as weights"),
        (b"PK\x03\x04 cut", "as weights"),
        (b"\x80\x02", "damaged"),
        (b"\x80\x04\x95", "damaged"),
        (b"\x80\x02}q\x00", "damaged"),
        (b"\x80\x04\x93.", "damaged"),
        (b"\x80\x02h\x05.", "damaged"),
        (b"\x80\x02c__main__\nThing\n.", "asks for __main__.Thing"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is not a weights file"),
        (b"\x10" + bytes(7) + b'{"a": 1}       ', "safetensors"),
        (b"\xff" * 7 + b"\x7f{", "safetensors"),
        (pickle.dumps([1, 2], protocol=2), "no weights by name"),
        (pickle.dumps({}, protocol=2), "no weights by name"),
        (pickle.dumps({"model": {}}, protocol=2), "no weights by name"),
        (pickle.dumps({"weight": "text"}, protocol=2), "holds str under 'weight'"),
        (pickle.dumps({"weight": 1.5}, protocol=2), "holds float under 'weight'"),
        (pickle.dumps({"weight": np.array(["a"])}, protocol=2), "holds ndarray under 'weight'"),
        (pickle.dumps({3: np.zeros(2)}, protocol=4), "holds ndarray under 3"),
    ],
)
def test_wrong_files_each_give_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250


@pytest.mark.parametrize("write", [as_bare, as_legacy, as_pickle_4, as_safetensors])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_truncated_files(
    tmp_path: Path, make_model: Callable[..., Any], write: Callable[[Any, Path], None], share: float
) -> None:
    path = tmp_path / "weights.pth"
    write(make_model(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(CheckpointError, match="check the path"):
            read_state(path)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_what_compiling_and_wrapping_put_before_keys_is_taken_off(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "compiled.pth"
    torch.save({f"{prefix}a.weight": torch.ones(2), f"{prefix}b._orig_mod.bias": torch.zeros(1)}, path)
    assert list(read_state(path)) == ["a.weight", "b.bias"]


def test_a_training_checkpoint_is_refused_and_the_weights_beside_it_named(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint = {
        "state_dict": {"model.a": torch.ones(1)},
        "optimizer_states": [],
        "loops": {},
        "global_step": 3,
        "categories": [["car", True]],
    }
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match=r"is a training checkpoint.*pansight train --resume"):
        read_state(path)
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt is a training checkpoint, .*; use .*best\.safetensors"
    ):
        read_state(path)
    # another tool's file of the same making is read as before
    del checkpoint["categories"]
    torch.save({**checkpoint, "state_dict": {"a": torch.ones(1)}}, path)
    assert list(read_state(path)) == ["a"]
