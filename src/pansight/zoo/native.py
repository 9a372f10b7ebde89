"""The native file: safetensors, with everything that makes the model inside its header.

Header fields (text): `format` = "pansight", `format_version`, `pansight_version`, `method`, and as JSON
`config`, `categories`, `preprocess`, `extra`. Nothing in such a file can run code.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pansight import __version__
from pansight.categories import Categories
from pansight.errors import CategoryError, CheckpointError, InputError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.zoo.methods import construct, find_method
from pansight.zoo.reasons import first_line, first_problem
from pansight.zoo.strict import State, compare, load_strictly

FORMAT = "pansight"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a native file says of itself."""

    method: str
    config: BaseModel
    categories: Categories
    preprocess: Preprocess
    pansight_version: str
    extra: dict[str, Any]


def save_native(
    model: PanopticModel,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float32", "float16"] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write the model and all that it takes to use it: one file, whole or not at all.

    `float16` halves the file: tensors with more
    than one axis are rounded to half precision (relative error at most 2**-11), norms and biases are not;
    loading gives float32 again. `extra` is anything that JSON can say, for `Header.extra`.

    Raises CheckpointError for a model that `optimized()` has folded, InputError when the file cannot be
    written.
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
        key: (_halved(tensor) if dtype == "float16" else tensor).detach().cpu().contiguous()
        for key, tensor in model.state_dict().items()
    }
    with atomic_write(path) as temporary:
        mode = temporary.stat().st_mode
        try:
            save_file(state, temporary, metadata)
            temporary.chmod(mode)  # safetensors makes files that nobody else may read
        except SafetensorError as error:
            raise InputError(
                f"cannot write {path}: {first_line(error)}; free space or choose another folder"
            ) from error


def _halved(tensor: Tensor) -> Tensor:
    """In half precision, unless that saves nothing worth having or leaves its range."""
    if not tensor.is_floating_point() or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() or not tensor.isfinite().all() else tensor


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text fields of a safetensors file; the tensors stay on the disk.

    Raises CheckpointError, naming the file, when it is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def read_header(path: str | os.PathLike[str]) -> Header:
    """What the native file at `path` says of itself. Raises CheckpointError."""
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} holds bare weights without a configuration; name the model they are for"
        )
    try:
        version = int(metadata["format_version"])
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is of format {version}, by Pansight {metadata.get('pansight_version', '?')}; "
                f"this one knows formats up to {FORMAT_VERSION}: upgrade pansight"
            )
        method = find_method(metadata["method"])
        categories = json.loads(metadata["categories"])
        return Header(
            metadata["method"],
            method.config.model_validate_json(metadata["config"]),
            Categories.from_json(categories["items"], name=categories["name"]),
            Preprocess.model_validate_json(metadata["preprocess"]),
            metadata.get("pansight_version", "?"),
            dict(json.loads(metadata.get("extra", "{}"))),
        )
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}; {_REMEDY}") from error
    except (KeyError, TypeError, ValueError, CategoryError) as error:
        raise CheckpointError(f"{path} has a damaged header ({first_line(error)}); {_REMEDY}") from error


def load_native(
    path: str | os.PathLike[str],
    *,
    map_location: torch.device | str = "cpu",
    preprocess: Preprocess | None = None,
) -> PanopticModel:
    """The model in a native file: evaluation mode, float32, every key and shape checked.

    `preprocess` takes the place of the file's own. Raises CheckpointError, naming the file and what is wrong.
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
        read_tensors(path),
        complaint=lambda mismatch: f"{path} does not hold what its header says ({mismatch}); {_REMEDY}",
    )
    return model.eval().to(map_location)


def read_tensors(path: str | os.PathLike[str]) -> State:
    """All tensors of a safetensors file. Raises CheckpointError when they cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


_REMEDY = "fetch or write the file anew"


def _unreadable(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    return CheckpointError(f"cannot read {path} as safetensors ({first_line(error)}); {_REMEDY}")
