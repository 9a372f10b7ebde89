"""`pansight convert`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from pansight.categories import Categories, Category
from pansight.cli import main
from pansight.errors import CheckpointError, InputError, PansightError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo import ModelSpec, load_native, presets, save_native

CONFIG = YOSOConfig(
    depth=18, width=8, aggregated_dim=8, hidden_dim=16, heads=2, feedforward_dim=16, proposals=5, stages=1
)
CATEGORIES = Categories(
    [Category("sky", False, 1, (0, 0, 255)), Category("dog", True, 2, (255, 0, 0))], "garden"
)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> YOSO:
    """A small model that the zoo knows as "small"."""
    spec = ModelSpec("small", "yoso", CONFIG, CATEGORIES, Preprocess(short=64), "for tests")
    monkeypatch.setattr(presets, "released", lambda: (spec,))
    monkeypatch.setattr(presets, "EMBEDDED", {})
    return YOSO(CONFIG, CATEGORIES, spec.preprocess).eval()


def convert(*arguments: Any) -> str:
    result = CliRunner().invoke(main.app, ["convert", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(tensor, b.state_dict()[key]) for key, tensor in a.state_dict().items())


@pytest.mark.parametrize("named", [True, False])
def test_released_to_native(model: YOSO, tmp_path: Path, named: bool) -> None:
    torch.save({"model": model.state_dict(), "iteration": 3}, tmp_path / "w.pth")
    target = tmp_path / "new" / "w.safetensors"
    said = convert(tmp_path / "w.pth", target, *(["--model", "small"] if named else []))
    assert f"{target}: yoso for garden (2 categories), " in said
    assert equal(load_native(target), model)


def test_half_is_half(model: YOSO, tmp_path: Path) -> None:
    save_native(model, tmp_path / "full.safetensors")
    convert(tmp_path / "full.safetensors", tmp_path / "half.safetensors", "--half")
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full
    assert load_native(tmp_path / "half.safetensors").preprocess.short == 64


def test_what_is_wrong_is_said_and_nothing_written(model: YOSO, tmp_path: Path) -> None:
    source, target = tmp_path / "w.safetensors", tmp_path / "out.safetensors"
    save_native(model, source)
    before = source.read_bytes()
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        convert(source, tmp_path / "out.pth")
    with pytest.raises(InputError, match="is the file to be converted"):
        convert(source, source, "--half")
    with pytest.raises(CheckpointError, match="check the path"):
        convert(tmp_path / "absent.pth", target)
    with pytest.raises(PansightError, match="did you mean small"):
        convert(source, target, "--model", "smal")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(CheckpointError, match="no weights file"):
        convert(tmp_path / "text.pth", target)
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", "text.pth"}
