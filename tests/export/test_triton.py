"""`pansight export --to triton`: a model repository as Triton's documentation describes it."""

import re
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from pansight.categories import Categories
from pansight.cli import main
from pansight.errors import InputError
from pansight.export.triton_target import graph_path
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo import save_native

TENSOR = re.compile(r'(input|output) \[ \{ name: "([^"]+)" data_type: (\w+) dims: \[ ([-\d, ]+) \]')


@pytest.mark.usefixtures("unchecked_shapes")
def test_the_configuration_says_what_the_graph_has(
    small_config: YOSOConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(16)
    model = YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()
    save_native(model, tmp_path / "small.safetensors")
    arguments = [
        "export",
        tmp_path / "small.safetensors",
        "--to",
        "triton",
        "-o",
        tmp_path / "models",
        "--no-verify",
    ]
    monkeypatch.setattr(sys, "argv", ["pansight", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main.run()
    assert not caught.value.code
    graph = tmp_path / "models" / "small" / "1" / "model.onnx"
    config = (tmp_path / "models" / "small" / "config.pbtxt").read_text()
    assert 'name: "small"\nbackend: "onnxruntime"\nmax_batch_size: 0\n' in config
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    found = {(kind, name): (type, dims) for kind, name, type, dims in TENSOR.findall(config)}
    assert found["input", "images"][1].replace(" ", "").startswith("-1,3,-1,-1")
    for kind, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
        assert {name for of, name in found if of == kind} == {tensor.name for tensor in tensors}
        for tensor in tensors:
            sides = [side if isinstance(side, int) else -1 for side in tensor.shape]
            assert [int(side) for side in found[kind, tensor.name][1].split(",")] == (sides or [1])


def test_a_name_that_triton_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use letters, digits"):
        graph_path(tmp_path, "my model")
