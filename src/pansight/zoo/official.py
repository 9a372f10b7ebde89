"""Weights as their authors released them: torch files, detectron2 pickles, bare or wrapped state dicts."""

import os
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pansight.errors import CheckpointError, CheckpointWarning
from pansight.models.base import PanopticModel
from pansight.zoo.methods import construct, find_method
from pansight.zoo.native import read_tensors
from pansight.zoo.pickles import torch_container
from pansight.zoo.reasons import first_line
from pansight.zoo.spec import ModelSpec
from pansight.zoo.strict import Mismatch, State, compare, load_strictly, unwrapped

WRAPPERS = ("model", "state_dict", "blobs")
"""keys under which trainers (Caffe2's the last) put the weights, besides optimizer, scheduler and
iteration"""

TORCH_LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""with this number, pickled, the files of torch before 1.6 begin"""


def _numpy_globals() -> list[Any]:
    """What pickled numpy arrays name and torch does not allow yet; all of it only gives bytes a shape."""
    array, number = np.zeros(1), np.float32(0)
    functions: list[Any] = [np.ndarray, np.dtype, type(array.dtype)]
    functions += [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdSUV"]
    for reduced in (array.__reduce__(), array.__reduce_ex__(5), number.__reduce__()):
        function: Any = reduced[0]
        functions.append(function)
        module = function.__module__
        # numpy 2 moved what numpy 1 called numpy.core to numpy._core; files of either name it
        for other in (
            module.replace("numpy._core", "numpy.core"),
            module.replace("numpy.core", "numpy._core"),
        ):
            functions.append((function, f"{other}.{function.__name__}"))
    allowed = torch.serialization.get_safe_globals()
    return [function for function in functions if function not in allowed]


def read_state(path: str | os.PathLike[str]) -> State:
    """The tensors in a weights file by key, whatever its kind; no code in it is run.

    Takes torch files (zip or older), plain pickles of arrays, and safetensors. In them: a dictionary of
    tensors or numpy arrays, bare or under "model", "state_dict" or "blobs"; "module." before every key and
    "_orig_mod." within keys, which data-parallel and compiled models put there, are taken off.

    Raises CheckpointError, naming the file, what is wrong with it and what to do.
    """
    path = Path(path)
    content = _read(path)
    _refuse_checkpoint(content, path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path} holds no weights by name; give a file with a state dict")
    state: State = {}
    for key, value in content.items():
        tensor = _as_tensor(value)
        if not isinstance(key, str) or tensor is None:
            raise CheckpointError(
                f"{path} holds {type(value).__name__} under {key!r} where a tensor should be; "
                "give a file with a state dict"
            )
        state[key] = tensor
    return unwrapped(state)


def _refuse_checkpoint(content: Any, path: Path) -> None:
    """Raise CheckpointError for a checkpoint of our own training, naming the weights next to it.

    Besides the last weights it holds averaged ones and the optimizer's state, and no configuration.
    """
    if not isinstance(content, Mapping) or not {"state_dict", "optimizer_states", "loops"} <= content.keys():
        return
    callbacks = content.get("callbacks")
    if "categories" not in content and not (isinstance(callbacks, Mapping) and "WeightAverage" in callbacks):
        return  # another tool's, which may hold no more than weights and an optimizer
    beside = [name for name in ("best.safetensors", "final.safetensors") if path.with_name(name).is_file()]
    remedy = (
        f"use {path.with_name(beside[0])}"
        if beside
        else "go on with the training (pansight train --resume), which writes best.safetensors next to it"
    )
    raise CheckpointError(f"{path} is a training checkpoint, to resume from, not weights; {remedy}")


def _as_tensor(value: object) -> Tensor | None:
    """An ordinary tensor of the numbers in `value`, or None where there are none."""
    if isinstance(value, Tensor):
        return value if value.layout == torch.strided and not value.is_quantized else None
    if not isinstance(value, np.ndarray | np.generic):
        return None
    try:
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
    except TypeError:  # an array of text
        return None


def _read(path: Path) -> Any:
    """What a weights file holds; recognised by its first bytes, not by its name."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {first_line(error)}; check the path") from error
    if not start:
        raise CheckpointError(f"{path} is empty; fetch it again")
    if start[8:9] == b"{":
        return read_tensors(path)
    if start.lstrip()[:1] == b"<":
        raise CheckpointError(f"{path} is a web page, not weights; fetch the file itself")
    if not start.startswith((b"PK", b"\x80")):
        raise CheckpointError(f"{path} is not a weights file; give one of torch (.pth), or safetensors")
    try:
        with torch.serialization.safe_globals(_numpy_globals()), warnings.catch_warnings():
            # the loader remarks upon pickle protocols; what it cannot read it refuses anyway
            warnings.simplefilter("ignore")
            if start.startswith(b"PK"):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if start[2:].startswith(TORCH_LEGACY):
                return torch.load(path, map_location="cpu", weights_only=True)
            return torch.load(torch_container(path.read_bytes(), str(path)), weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_unpickling_message(path, str(error))) from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"cannot read {path} as weights ({_brief(error)}); fetch it again") from error


def _unpickling_message(path: Path, text: str) -> str:
    named = re.search(r"GLOBAL (\S+)", text)
    if named:
        return (
            f"{path} asks for {named[1]}, which is not needed for weights and was not run; "
            "use a file with only weights"
        )
    return f"{path} is not a weights file, or a damaged one; fetch it again"


def _brief(error: Exception) -> str:
    text = first_line(error)
    return text if len(text) <= 120 else text[:117] + "..."


def load_official(spec: ModelSpec, state: State, path: str | os.PathLike[str]) -> PanopticModel:
    """A model of `spec` with the weights `state` that were read from `path`: evaluation mode, float32.

    Raises one CheckpointError that names missing, unexpected and mis-shaped keys.
    """
    method = find_method(spec.method)
    model = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    load_strictly(
        model,
        method.adapted(state),
        may_lack=method.may_lack,
        may_hold=method.may_hold,
        complaint=lambda mismatch: f"{path} does not fit {spec.name} ({mismatch}); {_REMEDY}",
    )
    return model.eval()


def recognise(state: State, path: str | os.PathLike[str], candidates: Iterable[ModelSpec]) -> ModelSpec:
    """The candidate into which `state` fits; of several, one whose published file has the name of `path`.

    Numbers of classes, proposals and layers and the kind of norm tell models apart. Of those that neither
    they nor the file's name tell apart the first is taken, and a CheckpointWarning says so where another one
    has another input size.

    Raises CheckpointError, naming the nearest, when none fits.
    """
    known = list(candidates)
    named = [spec for spec in known if Path(path).name in [file.name for file in spec.weights]]
    nearest: tuple[Mismatch, ModelSpec] | None = None
    for spec in [*named, *(spec for spec in known if spec not in named)]:
        mismatch = _mismatch(spec, state)
        if not mismatch:
            _warn_of_others(spec, state, path, named if spec in named else known)
            return spec
        if nearest is None or len(mismatch) < len(nearest[0]):
            nearest = mismatch, spec
    if nearest is None:
        raise CheckpointError(f"no model is known that {path} could be for; name one")
    raise CheckpointError(
        f"{path} fits no known model; nearest is {nearest[1].name} ({nearest[0]}); {_REMEDY}"
    )


def _mismatch(spec: ModelSpec, state: State) -> Mismatch:
    method = find_method(spec.method)
    model = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    return compare(model, method.adapted(state), may_lack=method.may_lack, may_hold=method.may_hold)


def _warn_of_others(
    taken: ModelSpec, state: State, path: str | os.PathLike[str], known: Iterable[ModelSpec]
) -> None:
    others = [spec for spec in known if spec.method == taken.method and spec.preprocess != taken.preprocess]
    fitting = [spec.name for spec in others if not _mismatch(spec, state)]
    if fitting:
        more = f" and {len(fitting) - 2} more" if len(fitting) > 2 else ""
        warnings.warn(
            f"{path} is read as {taken.name}; it fits {', '.join(fitting[:2])}{more}, too: "
            "give the model's name with the file",
            CheckpointWarning,
            stacklevel=2,
        )


_REMEDY = "name the model it was made for"
