"""The table of models against the paper's and the released code's figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pansight.categories import Categories
from pansight.errors import CheckpointError, PansightError
from pansight.zoo import available, load_model, preset, presets, read_header
from pansight.zoo.methods import METHODS, construct, parameter_count


@pytest.mark.parametrize(
    ("name", "entries", "parameters"),
    [
        ("yoso-r50-coco", 395, 42_036_893),
        ("yoso-r50-coco-512", 395, 42_036_893),
        ("yoso-r50-cityscapes", 472, 42_559_801),
        ("yoso-r50-cityscapes-1024", 472, 42_559_801),
        ("yoso-r50-ade20k", 395, 42_045_631),
        ("yoso-r50-mapillary", 419, 42_594_575),
    ],
)
def test_entries_and_parameters(name: str, entries: int, parameters: int) -> None:
    spec = preset(name)
    model = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    assert len(model.state_dict()) == entries
    assert parameter_count(model) == parameters


def test_values_of_the_coco_file() -> None:
    model = construct("yoso", preset("yoso-r50-coco").config, *_parts("yoso-r50-coco"), blank=True)
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == 42_146_857


def _parts(name: str) -> tuple[Any, Any]:
    return preset(name).categories, preset(name).preprocess


@pytest.mark.parametrize(
    ("name", "classes", "size", "temperature", "thresholds", "layers", "norm", "proposals", "pq"),
    [
        ("yoso-r50-coco", (80, 53), (800, 1333), 0.05, (0.7, 0.8), 1, "frozen", 100, 48.4),
        ("yoso-r50-coco-512", (80, 53), (512, 800), 0.05, (0.7, 0.8), 1, "frozen", 100, 46.4),
        ("yoso-r50-cityscapes", (8, 11), (512, 1024), 0.05, (0.8, 0.8), 3, "batch", 100, 52.5),
        ("yoso-r50-cityscapes-1024", (8, 11), (1024, 2048), 0.05, (0.8, 0.8), 3, "batch", 100, 59.7),
        ("yoso-r50-ade20k", (100, 50), (640, 2560), 0.5, (0.2, 0.8), 1, "frozen", 100, 38.0),
        ("yoso-r50-mapillary", (37, 28), (2048, 2048), 0.1, (0.0, 0.8), 3, "frozen", 150, 34.1),
    ],
)
def test_what_differs_between_data_sets(
    name: str,
    classes: tuple[int, int],
    size: tuple[int, int],
    temperature: float,
    thresholds: tuple[float, float],
    layers: int,
    norm: str,
    proposals: int,
    pq: float,
) -> None:
    spec = preset(name)
    config: Any = spec.config
    assert (len(spec.categories.thing_indices), len(spec.categories.stuff_indices)) == classes
    assert (spec.preprocess.short, spec.preprocess.longest) == size
    assert (spec.preprocess.channels, spec.preprocess.divisor) == ("rgb", 32)
    assert config.temperature == temperature
    assert (config.merge.object_threshold, config.merge.keep_share) == thresholds
    assert (config.class_layers, config.mask_layers) == (layers, layers)
    assert (config.backbone_norm, config.proposals, config.stages) == (norm, proposals, 2)
    assert [figure.pq for figure in spec.figures] == [pq]
    assert spec.categories_name == name.split("-")[2]
    (file,) = spec.weights
    assert file.url == f"https://github.com/hujiecpp/YOSO/releases/download/v0.1/{file.name}"
    assert file.name == f"yoso_res50_{spec.categories_name}.pth"


def test_names_are_unique_and_all_can_be_had() -> None:
    listed = [spec.name for spec in available()]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(presets.names())
    assert all(preset(name).name == name for name in listed)
    assert {spec.method for spec in available()} <= set(METHODS)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("yoso-r50-koko", "yoso-r50-coco"),
        ("yoso-tini", "yoso-tiny"),
        ("YOSO-R50-ADE", "yoso-r50-ade20k"),
        ("?", "yoso-tiny"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong: str, near: str) -> None:
    for ask in (preset, load_model):
        with pytest.raises(PansightError, match="did you mean") as caught:
            ask(wrong)
        assert near in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_embedded_file_is_said_and_not_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(presets, "ASSETS", tmp_path)
    with pytest.raises(CheckpointError, match="yoso-tiny are missing from this installation; reinstall"):
        preset("yoso-tiny")
    assert "yoso-tiny" not in [spec.name for spec in available()]
    assert "yoso-tiny" in presets.names()


def yoso_tiny() -> Path:
    """The file of the model that ships with the package; a test that needs it fails where it is missing."""
    path = presets.embedded_path("yoso-tiny")
    assert path.is_file(), f"{path} is missing: train the recipe yoso-tiny and put its weights there"
    return path


def test_yoso_tiny_is_small() -> None:
    assert yoso_tiny().stat().st_size <= 8_000_000
    assert parameter_count(load_model("yoso-tiny")) <= 3_000_000


def test_embedded_models_are_listed_first_as_their_files_say() -> None:
    header = read_header(yoso_tiny())
    first, _, spec = available()[:3]
    assert (first.name, first.embedded) == ("panoptic-fcn-photo", "panoptic-fcn-photo.safetensors")
    assert (spec.name, spec.embedded) == ("yoso-tiny", "yoso-tiny.safetensors")
    assert (spec.config, spec.preprocess) == (header.config, header.preprocess)
    assert spec.categories == Categories.builtin("scenes")
    assert [figure.pq for figure in spec.figures] == [header.extra["pq"]]


def test_yoso_tiny_segments() -> None:
    yoso_tiny()
    model = load_model("yoso-tiny")
    assert not model.training
    images, sizes = model.preprocess.batch([np.zeros((60, 80, 3), np.uint8)])
    assert model.predict(images, sizes).ids.shape == (1, 60, 80)
