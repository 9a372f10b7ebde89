"""The native file: safetensors, with the complete description of the model in its header.

`pansight.zoo.header` lists its fields. Nothing in such a file can run code.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pansight.errors import CheckpointError, InputError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.version import __version__
from pansight.zoo.header import FORMAT, FORMAT_VERSION, REMEDY, read_header, unreadable
from pansight.zoo.methods import construct
from pansight.zoo.reasons import first_line
from pansight.zoo.strict import State, compare, load_strictly, unwrapped


def save_native(
    model: PanopticModel,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float32", "float16"] | None = None,
    vectors: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write the model and everything needed to use it: one file, written atomically.

    `float16` halves the file: tensors with more than one axis are rounded to half precision (relative error
    at most 2**-11), norms and biases only with `vectors`, running statistics never; loading gives float32
    again. `extra` is anything that JSON can say, for `Header.extra`.

    Raises CheckpointError for a model that `optimized()` has folded, InputError when the file cannot be
    written.

        >>> from pansight.zoo import load_model
        >>> save_native(load_model("yoso-tiny"), "mine.safetensors", dtype="float16")
        >>> load_native("mine.safetensors").categories.name
        'scenes'
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path} must end in .safetensors; choose such a name")
    whole = construct(model.method, model.config, model.categories, model.preprocess, blank=True)
    if compare(whole, model.state_dict()):
        raise CheckpointError(
            f"cannot save to {path}: the model was folded by optimized(); save the original"
        )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "pansight_version": __version__,
        "method": model.method,
        "config": model.config.model_dump_json(),
        "categories": json.dumps({"name": model.categories.name, "items": model.categories.to_json()}),
        "preprocess": model.preprocess.model_dump_json(),
        "extra": json.dumps(dict(extra or {})),
    }
    state = {
        key: (_halved(tensor, key, vectors) if dtype == "float16" else tensor).detach().cpu().contiguous()
        for key, tensor in unwrapped(model.state_dict()).items()
    }
    write_tensors(path, state, metadata)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Raises InputError when it cannot be written."""
    with atomic_write(path) as temporary:
        mode = temporary.stat().st_mode
        try:
            save_file(dict(tensors), temporary, dict(metadata))
            temporary.chmod(mode)  # safetensors makes files that nobody else may read
        except SafetensorError as error:
            raise InputError(
                f"cannot write {path}: {first_line(error)}; free space or choose another folder"
            ) from error


def _halved(tensor: Tensor, key: str, vectors: bool) -> Tensor:
    """In half precision, unless that saves little, is not for statistics, or leaves its range."""
    alone = tensor.dim() < 2 and (not vectors or "running_" in key)
    if not tensor.is_floating_point() or alone:
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() or not tensor.isfinite().all() else tensor


def load_native(
    path: str | os.PathLike[str],
    *,
    map_location: torch.device | str = "cpu",
    preprocess: Preprocess | None = None,
) -> PanopticModel:
    """The model in a native file: evaluation mode, float32, every key and shape checked.

    `preprocess` replaces the file's own. Raises CheckpointError, naming the file and what is wrong.
    """
    header = read_header(path)
    try:
        model = construct(
            header.method, header.config, header.categories, preprocess or header.preprocess, blank=True
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    load_strictly(
        model,
        unwrapped(read_tensors(path)),
        complaint=lambda mismatch: f"{path} does not hold what its header says ({mismatch}); {REMEDY}",
    )
    return model.eval().to(map_location)


def read_tensors(path: str | os.PathLike[str]) -> State:
    """All tensors of a safetensors file. Raises CheckpointError when they cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from error
