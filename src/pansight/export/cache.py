"""Converted models, kept: made once for each weights, version and runtime, and checked before they are used.

They are in the folder `engines` of Pansight's cache, next to that of the weights. Files are written
atomically; a lock lets one process convert while others wait; what is damaged is made anew. Where none of
that works, torch runs the model, and a warning says why.
"""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from pansight.errors import (
    CheckpointError,
    DeviceError,
    EngineWarning,
    InputError,
    InstallationError,
    PansightError,
)
from pansight.export.conversion import SUFFIXES, Target, describe, write_artefact
from pansight.export.network import weights_digest
from pansight.export.parity import Parity, compare
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.opening import CONVERTED, RUNTIMES, EngineOptions, is_installed
from pansight.runtime.engines.protocol import Engine
from pansight.version import __version__
from pansight.zoo.cache import home
from pansight.zoo.reasons import first_line

TARGETS: dict[str, Target] = {"onnxruntime": "onnx", "openvino": "openvino"}
"""what each runtime runs"""

GRAPHS = 3
"""counted up whenever the same weights give another graph, so that files kept from before are not used"""

WORTH = 0.95
"""share of torch's time that a runtime must stay below to be taken in its place"""


def engines_folder() -> Path:
    """Where converted models are kept."""
    return home() / "engines"


def converted(
    model: PanopticModel, runtime: str, name: str, options: EngineOptions, *, random: bool = False
) -> Engine:
    """The model, run by `runtime`, converted first where that has not been done.

    `random`: the weights are drawn, for a benchmark. Norms over features that such weights let die enlarge
    rounding errors, so only ids are compared.

    Raises MissingExtraError where the runtime is not installed, CheckpointError when its maps differ
    from torch's, InputError when nothing can be written.
    """
    key = _key(model, name)
    with _turn(key):
        return _ready(model, runtime, name, key, options, random)


def fastest(model: PanopticModel, name: str, options: EngineOptions) -> Engine | None:
    """The model, run by the fastest runtime that is installed; None where torch is as fast, or nothing works.

    Which one that is, is measured once, on a small image. An EngineWarning tells of that, and of failures.
    """
    key = _key(model, name)
    try:
        with _turn(key):
            runtime = _chosen(model, name, key)
            return None if runtime is None else _ready(model, runtime, name, key, options)
    except InstallationError as error:
        _tell(f"{name}: {error}; torch runs it")
    except (CheckpointError, DeviceError, OSError) as error:
        _tell(f"{name}: no faster engine could be prepared ({first_line(error)}); torch runs it")
    except InputError as error:
        # a request that no engine can fulfil does not concern the cache
        if not str(error).startswith("cannot write"):
            raise
        _tell(f"{name}: no faster engine could be prepared ({first_line(error)}); torch runs it")
    return None


def _chosen(model: PanopticModel, name: str, key: str) -> str | None:
    """The fastest runtime by what was measured before, else by measuring now; None: torch."""
    installed = {runtime: metadata.version(runtime) for runtime in CONVERTED if is_installed(runtime)}
    file = engines_folder() / f"{key}-{__version__}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["installed"] == installed and known["engine"] in (None, *installed):
            return known["engine"]
    started = time.perf_counter()
    ratios: dict[str, float] = {}
    problems: list[str] = []
    optimized = model.optimized()
    for runtime in installed:
        try:
            engine = _ready(model, runtime, name, key, EngineOptions())
            parity = compare(engine, optimized)
        except PansightError as error:
            problems.append(f"{runtime}: {first_line(error)}")
            continue
        ratios[runtime] = parity.seconds / parity.torch_seconds
    best = min(ratios, key=lambda one: ratios[one], default=None)
    if best is not None and ratios[best] > WORTH:
        best = None
    if not ratios:
        _tell(f"{name}: no faster engine could be prepared ({'; '.join(problems)}); torch runs it")
        return None
    found = {"engine": best, "installed": installed, "ratios": ratios, "problems": problems}
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(found), encoding="utf-8")
    seconds = time.perf_counter() - started
    if best is not None:
        _tell(
            f"{name}: prepared for {best} in {seconds:.0f} s, once; its network takes "
            f"{ratios[best]:.2f} of torch's time here"
        )
    return best


def _ready(
    model: PanopticModel, runtime: str, name: str, key: str, options: EngineOptions, random: bool = False
) -> NetworkEngine:
    """The kept file as an engine; made where it is missing, and made anew where it is damaged."""
    path = engines_folder() / f"{key}-{__version__}{SUFFIXES[TARGETS[runtime]]}"
    if path.is_file():
        try:
            return _opened(runtime, path, options)
        except (CheckpointError, FileNotFoundError):
            _remove(path)
        except InputError:
            if path.with_suffix(".bin").is_file() or path.suffix != ".xml":
                raise
            _remove(path)
    _sweep()
    # under a name that nobody opens until it is known to be right
    fresh = path.with_name(f".{path.name}")
    try:
        write_artefact(model, TARGETS[runtime], describe(model, TARGETS[runtime], name=name), fresh)
        parity = compare(_opened(runtime, fresh, EngineOptions()), model.optimized(), repeats=1)
        if not (parity.ids_hold if random else parity.holds):
            raise CheckpointError(
                f"{name}: {runtime} and torch give different maps ({_told(parity)}); use torch"
            )
        if path.suffix == ".xml":
            fresh.with_suffix(".bin").replace(path.with_suffix(".bin"))
        fresh.replace(path)
    except BaseException:
        _remove(fresh)
        raise
    return _opened(runtime, path, options)


def _opened(runtime: str, path: Path, options: EngineOptions) -> NetworkEngine:
    engine = RUNTIMES[runtime].open(path, options)
    assert isinstance(engine, NetworkEngine)
    return engine


def _told(parity: Parity) -> str:
    return f"outputs differ by {parity.outputs:.1e}, {parity.ids:.2%} of the ids"


def _remove(path: Path) -> None:
    for file in (path, path.with_suffix(".bin")):
        if file.suffix != ".bin" or path.suffix == ".xml":
            file.unlink(missing_ok=True)


def _sweep() -> None:
    """Remove what processes left that were killed while they wrote, an hour ago or more."""
    import shutil

    for left in engines_folder().glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime < 3600 or left.suffix == ".lock":
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


@contextlib.contextmanager
def _turn(key: str) -> Iterator[None]:
    """One process at a time for each model. Raises InputError where the folder cannot be written."""
    folder = engines_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock: Any = FileLock(folder / f".{key}.lock")
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}; set PANSIGHT_HOME to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _key(model: PanopticModel, name: str) -> str:
    """What the files of a model are called, but for version and suffix."""
    return f"{_short(name)}-{weights_digest(model)[:20]}-{GRAPHS}"


def _short(name: str) -> str:
    """A name that every file system takes."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60]


def _tell(message: str) -> None:
    warnings.warn(message, EngineWarning, stacklevel=3)
