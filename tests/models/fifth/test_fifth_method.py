"""A method is one folder: a toy, known by nothing but its record, does all that the four do."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from one_per_category.method import METHOD
from one_per_category.model import Toy
from rich.console import Console

import pansight
from pansight.errors import CheckpointError, InputError
from pansight.export.conversion import Target, describe, write_artefact
from pansight.export.support import table
from pansight.models.base import PanopticModel
from pansight.training.recipes import make_config
from pansight.training.run import train
from pansight.zoo import METHODS, available, build, load_native, save_native
from pansight.zoo.methods import find_method, register
from pansight.zoo.parameters import parameters_of
from pansight.zoo.presets import preset


@pytest.fixture
def registered() -> Iterator[None]:
    """The toy is known within the test alone."""
    register(METHOD)
    yield
    del METHODS[METHOD.name]


def trained(folder: Path) -> PanopticModel:
    config = make_config(
        {
            "data": {"kind": "scenes", "size": [64, 96], "augmentation": {"kind": "flip"}},
            "model": {"method": METHOD.name, "config": {"width": 4}, "preprocess": {"divisor": 4}},
            "optimizer": {"learning_rate": 1e-2, "schedule": {"kind": "constant"}},
            "validation": {"every": 4, "pictures": 2},
            "steps": 4,
            "batch_size": 2,
            "workers": 0,
            "device": "cpu",
        }
    )
    return train(config, folder, console=Console(file=io.StringIO()))


@pytest.mark.usefixtures("registered")
def test_it_trains_predicts_saves_loads_and_exports(tmp_path: Path) -> None:
    model = trained(tmp_path / "run")
    assert isinstance(model, Toy) and model.config.width == 4
    assert (tmp_path / "run" / "best.safetensors").is_file()

    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    segmenter = pansight.load(tmp_path / "run" / "final.safetensors", engine="torch", device="cpu")
    panoptic = segmenter(image)
    assert panoptic.ids.shape == (61, 83) and panoptic.segments

    save_native(model, tmp_path / "copy.safetensors")
    loaded = load_native(tmp_path / "copy.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    fixed = pansight.load(tmp_path / "copy.safetensors", engine="torch", device="cpu", form="fixed")
    assert np.array_equal(fixed(image).ids, panoptic.ids)

    targets: tuple[tuple[Target, str], ...] = (("onnx", "toy.onnx"), ("torch", "toy.pt2"))
    for target, name in targets:
        write_artefact(model, target, describe(model, target), tmp_path / name)
        assert np.mean(pansight.load(tmp_path / name)(image).ids != panoptic.ids) < 1e-3, target


@pytest.mark.usefixtures("registered")
def test_it_is_listed_like_the_others() -> None:
    spec = preset("toy-scenes")
    assert spec in available()
    assert parameters_of(spec) == sum(p.numel() for p in build(spec).parameters())
    assert METHOD.name in {cell.method for cell, _ in table()}
    register(METHOD)
    with pytest.raises(InputError, match="already"):
        register(METHOD._replace(whole_any_size=False))


def test_without_registration_nothing_knows_it() -> None:
    with pytest.raises(InputError, match="no method 'one_per_category'; choose one of yoso, dense_detection"):
        make_config({"model": {"method": METHOD.name}})
    with pytest.raises(CheckpointError, match="no method"):
        find_method(METHOD.name)
