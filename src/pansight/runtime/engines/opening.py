"""From a name or a file to an engine: here other runtimes plug in."""

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


class Runtime(NamedTuple):
    """A runtime for artefacts: files that hold a network or a whole model, and its spec."""

    suffixes: tuple[str, ...]
    open: Callable[[Path, EngineOptions], Engine]


RUNTIMES: dict[str, Runtime] = {}
"""Runtimes by the name that `engine=` has for them. A file with one of its suffixes is opened by it."""


def engine_names() -> list[str]:
    """Every name that `engine=` takes."""
    return [*TORCH_MODES, *RUNTIMES]


def open_engine(
    name_or_path: str | os.PathLike[str],
    engine: str = "auto",
    options: EngineOptions | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Engine:
    """The engine for a model's name, its checkpoint or an exported file.

    `engine`: `auto` takes what the file was made for, else `torch` (folded); or a name of `engine_names()`.

    Raises InputError for an engine that does not exist or cannot run such a file, and what the engine raises.
    """
    options = options or EngineOptions()
    if engine not in engine_names():
        raise InputError(f"engine {engine!r} is unknown; use {', '.join(engine_names())}")
    suffix = Path(os.fspath(name_or_path)).suffix.lower()
    for name, runtime in RUNTIMES.items():
        if suffix in runtime.suffixes:
            if engine not in ("auto", name):
                raise InputError(f"{name_or_path} is run by {name}, not by {engine}; leave out the engine")
            if weights is not None:
                raise InputError(f"{name_or_path} holds its weights; leave out {os.fspath(weights)}")
            return runtime.open(Path(name_or_path), options)
    if engine in RUNTIMES:
        endings = " or ".join(RUNTIMES[engine].suffixes)
        raise InputError(f"{engine} runs files {endings}; make one of {name_or_path} with pansight export")
    return _torch_engine(name_or_path, engine, options, weights)


def _torch_engine(
    name_or_path: str | os.PathLike[str],
    engine: str,
    options: EngineOptions,
    weights: str | os.PathLike[str] | None,
) -> Engine:
    from pansight.runtime.devices import choose_device
    from pansight.runtime.engines.torch_engine import TorchEngine
    from pansight.zoo import load_model

    where = choose_device(options.device)  # before the weights: they may have to be fetched
    checked: Any = options  # TorchEngine refuses what it does not know
    return TorchEngine(
        load_model(name_or_path, weights=weights),
        device=where,
        mode=TORCH_MODES[engine],  # type: ignore[arg-type]
        precision=checked.precision or "float32",
        form=checked.form,
        resize=checked.resize,
        merge=checked.merge,
        name=Path(os.fspath(name_or_path)).stem,
    )
