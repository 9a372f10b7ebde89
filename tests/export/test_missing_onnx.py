"""Without the package `onnx` nothing is exported, and the line says which extra brings it."""

import sys
from pathlib import Path

import pytest

from pansight.errors import InstallationError
from pansight.export.network import NetworkCut
from pansight.export.onnx_target import trace_onnx
from pansight.zoo import load_model


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = load_model("yoso-tiny")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InstallationError, match=r"pip install 'pansight\[export\]'"):
        trace_onnx(NetworkCut(model, model.preprocess, "grid"), tmp_path / "network.onnx", None)
    assert not list(tmp_path.iterdir())
