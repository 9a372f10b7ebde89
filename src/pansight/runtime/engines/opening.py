"""From a name or a file to an engine: here other runtimes plug in."""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pansight.errors import InputError
from pansight.merging import MergeSettings
from pansight.runtime.engines.protocol import Engine

TORCH_MODES = {"auto": "folded", "torch": "folded", "eager": "eager", "compiled": "compiled"}
"""Engines that PyTorch runs, and how."""


class EngineOptions(NamedTuple):
    """What can be asked of an engine; each runtime refuses what it cannot do."""

    device: str | None = None
    precision: str | None = None
    form: str | None = None
    resize: Any = "paper"
    merge: "Mapping[str, Any] | MergeSettings | None" = None
    threads: int | None = None
    """of runtimes other than torch, which has a setting for the whole process; None: one thread per core"""


class Runtime(NamedTuple):
    """A runtime for artefacts: files that hold a network or a whole model, and its spec."""

    suffixes: tuple[str, ...]
    open: Callable[[Path, EngineOptions], Engine]
    module: str
    """what must be installed"""


def _open_onnx(path: Path, options: EngineOptions) -> Engine:
    from pansight.runtime.engines.onnxruntime_engine import OnnxRuntimeSession

    return _engine(OnnxRuntimeSession(path, options.threads), options)


def _open_openvino(path: Path, options: EngineOptions) -> Engine:
    from pansight.runtime.engines.openvino_engine import OpenVINOSession

    return _engine(OpenVINOSession(path, options.threads), options)


def _open_program(path: Path, options: EngineOptions) -> Engine:
    from pansight.runtime.engines.program_engine import ProgramSession

    return _engine(ProgramSession(path), options)


def _engine(session: Any, options: EngineOptions) -> Engine:
    """The engine for the file's cut."""
    from pansight.runtime.engines.network_engine import NetworkEngine
    from pansight.runtime.engines.whole_engine import WholeEngine

    return (NetworkEngine if session.description.cut == "network" else WholeEngine)(session, options)


RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime((".onnx",), _open_onnx, "onnxruntime"),
    "openvino": Runtime((".xml",), _open_openvino, "openvino"),
    "program": Runtime((".pt2",), _open_program, "torch"),
}
"""Runtimes by the name that `engine=` has for them. A file with one of its suffixes is opened by it."""


def runtime_of(name_or_path: str | os.PathLike[str]) -> str | None:
    """The name of the runtime that an artefact of this name is for; None: it is not an artefact.

    Example:
        >>> runtime_of("street.onnx"), runtime_of("yoso-tiny")
        ('onnxruntime', None)
    """
    suffix = Path(os.fspath(name_or_path)).suffix.lower()
    return next((name for name, runtime in RUNTIMES.items() if suffix in runtime.suffixes), None)


CONVERTED = ("onnxruntime", "openvino")
"""those that named models are converted for"""

DEFAULT_VARIABLE = "PANSIGHT_ENGINE"
"""environment variable: what `auto` stands for, for models that are not artefacts"""

_CONVERTER = "pansight.export.cache"
"""The room above this one that makes artefacts of models, asked only when one is wanted."""


def engine_names() -> list[str]:
    """Every name that `engine=` takes."""
    return [*TORCH_MODES, *(name for name in RUNTIMES if name != "program")]


def is_installed(runtime: str) -> bool:
    """Whether the packages for it are there; nothing is imported."""
    return importlib.util.find_spec(RUNTIMES[runtime].module) is not None


def open_engine(
    name_or_path: str | os.PathLike[str],
    engine: str = "auto",
    options: EngineOptions | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Engine:
    """The engine for a model's name, its checkpoint or an exported file.

    `engine`: `auto` takes what the file was made for; of models, on a processor, the fastest runtime that is
    installed (the model is converted at first use, and the file kept), else `torch` (folded). The environment
    variable PANSIGHT_ENGINE says what `auto` is for models. Or a name of `engine_names()`.

    Raises InputError for an engine that does not exist or cannot run such a file, and what the engine raises.
    """
    options = options or EngineOptions()
    if engine not in engine_names():
        raise InputError(f"engine {engine!r} is unknown; use {', '.join(engine_names())}")
    name = runtime_of(name_or_path)
    if name is not None:
        if engine not in ("auto", name):
            raise InputError(f"{name_or_path} runs on {name}, not on {engine}; leave out the engine")
        if weights is not None:
            raise InputError(f"{name_or_path} holds its weights; leave out {os.fspath(weights)}")
        return RUNTIMES[name].open(Path(name_or_path), options)
    if engine == "auto":
        engine = os.environ.get(DEFAULT_VARIABLE) or "auto"
        if engine not in engine_names():
            raise InputError(f"{DEFAULT_VARIABLE}={engine} is unknown; use {', '.join(engine_names())}")
    return _model_engine(name_or_path, engine, options, weights)


def _model_engine(
    name_or_path: str | os.PathLike[str],
    engine: str,
    options: EngineOptions,
    weights: str | os.PathLike[str] | None,
) -> Engine:
    from pansight.runtime.devices import choose_device
    from pansight.runtime.engines.torch_engine import TorchEngine
    from pansight.zoo import load_model
    from pansight.zoo.hub import title_of

    where = choose_device(options.device)  # before the weights: they may have to be fetched
    model = load_model(name_or_path, weights=weights)
    name = title_of(name_or_path)
    if engine in CONVERTED:
        return importlib.import_module(_CONVERTER).converted(model, engine, name, options)
    plain = where.type == "cpu" and options.precision in (None, "float32") and options.form != "fixed"
    if engine == "auto" and plain and any(is_installed(name) for name in CONVERTED):
        found = importlib.import_module(_CONVERTER).fastest(model, name, options)
        if found is not None:
            return found
    checked: Any = options  # TorchEngine refuses what it does not know
    return TorchEngine(
        model,
        device=where,
        mode=TORCH_MODES[engine],  # type: ignore[arg-type]
        precision=checked.precision or "float32",
        form=checked.form,
        resize=checked.resize,
        merge=checked.merge,
        name=name,
    )
