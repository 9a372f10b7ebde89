"""Models by name or from a file."""

import os
from pathlib import Path

import torch

from pansight.errors import CheckpointError, InputError
from pansight.models.base import PanopticModel
from pansight.zoo.download import fetch
from pansight.zoo.header import FORMAT, read_header, read_metadata
from pansight.zoo.hub import WEIGHTS, fetch_from_hub, is_hub_name
from pansight.zoo.methods import construct
from pansight.zoo.native import load_native
from pansight.zoo.official import load_official, read_state, recognise
from pansight.zoo.presets import available, embedded_path, names, preset
from pansight.zoo.spec import ModelSpec
from pansight.zoo.strict import compare


def build(spec: ModelSpec) -> PanopticModel:
    """The model of `spec` with fresh weights, in training mode.

    >>> from pansight.zoo import preset
    >>> build(preset("yoso-tiny")).training
    True
    """
    return construct(spec.method, spec.config, spec.categories, spec.preprocess)


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    map_location: torch.device | str = "cpu",
) -> PanopticModel:
    """A model with its weights, in evaluation mode and float32.

    Args:
        name_or_path: the name of a model (weights ship with the package, or are downloaded at first use); or
            the path of a native file, which describes itself, or of a released one, whose model is recognised
            by the shapes of its tensors; or of a folder with `model.safetensors`; or `hf:USER/MODEL`, such a
            file on the Hugging Face Hub (see `pansight.zoo.hub`). A model's name takes precedence over a file
            of that name.
        weights: with a name: a file, native or released, or `hf:USER/MODEL`, in place of the model's own. A
            native file must be of the same architecture; its categories, temperature and thresholds are
            kept, while the input size is the named model's.
        map_location: the device for the model.

        >>> load_model("yoso-tiny").method
        'yoso'

    Raises PansightError for an unknown name, CheckpointError for a file that does not fit, DownloadError.
    """
    name = os.fspath(name_or_path)
    if weights is not None and is_hub_name(weights):
        weights = fetch_from_hub(weights)
    if is_hub_name(name):
        if weights is not None:
            raise InputError(f"{name} has its weights, and so has {weights}; give one of them")
        model = _load_file(fetch_from_hub(name))
    elif not _is_path(name):
        model = _load_named(preset(name), weights)
    elif weights is None:
        model = _load_file(Path(name))
    else:
        raise InputError(f"{name} is a file, and so is {weights}; give one file, or a name and a file")
    return model.to(map_location)


def _is_path(name: str) -> bool:
    """Whether a file is meant: one that is there, or what looks like none of our names."""
    if name in names():
        return False
    return Path(name).exists() or Path(name).suffix != "" or Path(name).name != name


def _load_named(spec: ModelSpec, weights: str | os.PathLike[str] | None) -> PanopticModel:
    if weights is not None:
        return _load_into(spec, Path(weights))
    if spec.embedded is not None:
        return load_native(embedded_path(spec.name))
    if not spec.weights:
        raise CheckpointError(f"{spec.name} has no published weights; give a weights file")
    path = fetch(spec.weights[0])
    return load_official(spec, read_state(path), path)


def _load_file(path: Path) -> PanopticModel:
    path = _weights_in(path)
    if is_native(path):
        return load_native(path)
    state = read_state(path)
    return load_official(recognise(state, path, available()), state, path)


def _weights_in(path: Path) -> Path:
    """The weights in a folder, as `convert --to hf-folder` writes it; a file is itself."""
    if not path.is_dir():
        return path
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(f"{path} is a folder without {WEIGHTS}; give a weights file")
    return path / WEIGHTS


def _load_into(spec: ModelSpec, path: Path) -> PanopticModel:
    path = _weights_in(path)
    if not is_native(path):
        return load_official(spec, read_state(path), path)
    # the named model says how large images become; colours stay as the weights learned them
    size = spec.preprocess.model_dump(include={"short", "longest", "squash"})
    model = load_native(path, preprocess=read_header(path).preprocess.model_copy(update=size))
    wanted = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    mismatch = compare(wanted, model.state_dict())
    if mismatch:
        raise CheckpointError(
            f"{path} does not fit {spec.name} ({mismatch}); it describes itself, so give no name with it"
        )
    return model


def is_native(path: Path) -> bool:
    """Whether a file is one that Pansight wrote. Raises CheckpointError when it is damaged."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False  # the reader says so
    return start[8:] == b"{" and read_metadata(path).get("format") == FORMAT
