"""`pansight convert`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from pansight.categories import Categories, Category
from pansight.cli import main
from pansight.errors import CheckpointError, InputError, PansightError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo import ModelSpec, load_model, load_native, presets, read_header, save_native

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
    with pytest.raises(CheckpointError, match="not a weights file"):
        convert(tmp_path / "text.pth", target)
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", "text.pth"}


def test_what_a_native_file_says_of_itself_is_kept(model: YOSO, tmp_path: Path) -> None:
    save_native(model, tmp_path / "one.safetensors", extra={"data": "a garden", "pq": 12.5})
    convert(tmp_path / "one.safetensors", tmp_path / "two.safetensors", "--licence", "MIT")
    assert read_header(tmp_path / "two.safetensors").extra == {
        "data": "a garden",
        "pq": 12.5,
        "licence": "MIT",
    }


def test_a_folder_for_the_hub(model: YOSO, tmp_path: Path) -> None:
    extra = {
        "training": {"data": {"kind": "dataset", "folder": "/home/somebody/garden"}, "steps": 30},
        "pq": 31.4,
    }
    save_native(model, tmp_path / "best.safetensors", extra=extra)
    folder = tmp_path / "garden-model"
    said = convert(
        tmp_path / "best.safetensors", folder, "--to", "hf-folder", "--no-time", "--licence", "MIT"
    )
    assert f"hf upload USER/garden-model {folder}" in said
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert equal(load_native(folder / "model.safetensors"), model)
    assert equal(load_model(folder), model)
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        load_model(tmp_path)
    assert json.loads((folder / "config.json").read_text())["method"] == "yoso"
    text = (folder / "README.md").read_text()
    card: Any = ModelCard(text)  # the Hub's own reader
    assert (card.data.license, card.data.library_name) == ("mit", "pansight")
    assert "Trained on garden, 30 steps." in text and "PQ 31.4 (validation images" in text
    assert "things: dog" in text and "stuff: sky" in text
    everything = text + (folder / "config.json").read_text() + str(read_header(folder / "model.safetensors"))
    assert "/home/somebody" not in everything
    convert(folder / "model.safetensors", folder, "--to", "hf-folder", "--no-time")  # again: in place
    assert "license: mit" in (folder / "README.md").read_text()


def test_a_card_with_measured_quality_and_times(tmp_path: Path, small_weights: Path) -> None:
    folder = tmp_path / "scenes-model"
    arguments = ("--to", "hf-folder", "--data", "scenes", "--limit", 3, "--half")
    convert(small_weights, folder, *arguments)
    text = (folder / "README.md").read_text()
    card: Any = ModelCard(text)
    (result,) = card.data.eval_results
    assert (result.task_type, result.dataset_name, result.metric_type) == (
        "image-segmentation",
        "scenes",
        "pq",
    )
    assert 0 <= result.metric_value <= 100
    assert "On scenes, 3 images" in text and "95 %" in text
    assert re.search(r"64 x 86 pixels \(height x width\): \d+ ms, quartiles \d+ and \d+ of 20 calls", text)
    assert card.data.license == "unknown" and "Not stated. Ask the author" in text
    assert read_header(folder / "model.safetensors").extra["pq_source"].startswith("3 images of scenes")


def test_a_card_measured_on_data_with_other_names(tmp_path: Path, small_weights: Path) -> None:
    mapping, folder = tmp_path / "map.yaml", tmp_path / "mapped"
    mapping.write_text("sky: sky\nroad: [road, sidewalk]\n")
    arguments = ("--to", "hf-folder", "--data", "scenes", "--limit", 2, "--no-time")
    convert(small_weights, folder, *arguments, "--map", mapping)
    assert (
        "On scenes, the 2 categories that model and data share, 2 images"
        in (folder / "README.md").read_text()
    )
    with pytest.raises(InputError, match="--map says how --data's categories are called in the model; give"):
        convert(small_weights, tmp_path / "x", "--to", "hf-folder", "--map", mapping)
    with pytest.raises(InputError, match="--map is for the model card"):
        convert(small_weights, tmp_path / "x.safetensors", "--map", mapping)


def test_folders_that_would_mix_are_refused(model: YOSO, tmp_path: Path) -> None:
    save_native(model, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"holds w\.safetensors; choose a new folder"):
        convert(tmp_path / "w.safetensors", tmp_path, "--to", "hf-folder")
    with pytest.raises(InputError, match="is a file"):
        convert(tmp_path / "w.safetensors", tmp_path / "w.safetensors", "--to", "hf-folder")
    with pytest.raises(InputError, match="--data is for the model card"):
        convert(tmp_path / "w.safetensors", tmp_path / "v.safetensors", "--data", "scenes")
    with pytest.raises(InputError, match="not a form of weights: native or hf-folder"):
        convert(tmp_path / "w.safetensors", tmp_path / "v.onnx", "--to", "onnx")
