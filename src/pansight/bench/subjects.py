"""What is benchmarked: a model on an engine in a precision, opened the same way in every process."""

import importlib.util
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from pansight.errors import InputError, MissingExtraError
from pansight.models.base import PanopticModel
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.opening import CONVERTED, TORCH_MODES, EngineOptions, open_engine, runtime_of
from pansight.runtime.engines.protocol import Engine
from pansight.runtime.engines.torch_engine import Precision, TorchEngine
from pansight.runtime.engines.whole_engine import WholeEngine
from pansight.zoo import build, load_model
from pansight.zoo.hub import title_of
from pansight.zoo.presets import names, preset

SEED = 0
"""of weights that are drawn, so that every process draws the same"""


@dataclass(frozen=True)
class Subject:
    """One row of a benchmark.

    `model` is a name, a checkpoint or an artefact; `random` draws the weights of a named model instead of
    fetching them: speed hardly depends on weights, and the network's not at all. `resize` is as the command
    line has it; None: the network sees images as they are, unless a file takes one size alone.
    """

    model: str
    engine: str
    precision: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    resize: str | None = None
    random: bool = False

    @property
    def is_artefact(self) -> bool:
        """Whether `model` is an exported file."""
        return runtime_of(self.model) is not None

    @property
    def is_rival(self) -> bool:
        """Whether `model` is an adapter to another library's model, FILE.py:NAME."""
        return ".py:" in self.model

    @property
    def name(self) -> str:
        """Of the model, without its folder."""
        return self.model.rpartition(":")[2] if self.is_rival else title_of(self.model)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def load(self) -> PanopticModel:
        """The model with its weights, for torch."""
        if not self.random:
            return load_model(self.model)
        if self.model not in names():
            raise InputError(f"{self.model} is not a named model; leave out --random-weights")
        torch.manual_seed(SEED)
        return build(preset(self.model)).eval()

    def open(self, model: PanopticModel | None = None) -> Engine:
        """The engine; `model` saves loading it again. Raises InputError for what does not go together."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self.is_rival:
            return rival(self.model)
        if self.is_artefact:
            return self._opened_file()
        rule = as_rule(self.resize or "none")
        options = EngineOptions(device=self.device, resize=rule, threads=self.threads)
        model = model or self.load()
        if self.engine in CONVERTED:
            if self.precision != "float32":
                raise InputError(
                    f"{self.engine} runs {self.precision} only from a file; export one, and give that"
                )
            from pansight.export.cache import converted

            return converted(model, self.engine, title_of(self.model), options, random=self.random)
        if self.engine not in TORCH_MODES:
            known = ", ".join((*TORCH_MODES, *CONVERTED))
            raise InputError(f"engine {self.engine!r} is unknown; use {known}")
        if self.precision not in get_args(Precision):
            raise InputError(f"torch has no {self.precision} engine; export a file, and give that")
        return TorchEngine(
            model,
            device=self.device,
            mode=TORCH_MODES[self.engine],  # type: ignore[arg-type]
            precision=self.precision,  # type: ignore[arg-type]
            resize=options.resize,
            name=title_of(self.model),
        )

    def _opened_file(self) -> Engine:
        rule = "paper" if self.resize is None else as_rule(self.resize)
        options = EngineOptions(device=self.device, resize=rule, threads=self.threads)
        engine = open_engine(self.model, self.engine, options)
        if (
            self.resize is None
            and isinstance(engine, NetworkEngine | WholeEngine)
            and engine.session.description.size is None
        ):
            engine.spec = replace(engine.spec, preprocess=engine.spec.preprocess.resized("none"))
        return engine

    def own_size(self, engine: Engine, model: PanopticModel | None) -> tuple[int, int]:
        """Height and width of an image that the model's own rule leaves as it is, 3 to 4 where it is free.

        The rule before `resize`, which is the model's, or what an exported file says.
        """
        preprocess = engine.spec.preprocess if model is None else model.preprocess
        if isinstance(engine, NetworkEngine | WholeEngine):
            described = engine.session.description
            if described.size is not None:
                return described.size
            preprocess = described.preprocess
        fixed = preprocess.squash or preprocess.fit
        if fixed is not None:
            return fixed
        short = preprocess.short or 512
        return short, min(preprocess.longest or 10**6, -(-short * 4 // 3))


def rival(location: str) -> Engine:
    """The engine that FILE.py:NAME names in its `ENGINES`. Raises InputError for one that does not exist.

    The file is run: it is the caller's own, as a script that he starts would be.
    """
    file, _, name = location.rpartition(":")
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file; adapters are in benchmarks/rivals")
    spec = importlib.util.spec_from_file_location(f"pansight_rival_{Path(file).stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    engines = getattr(module, "ENGINES", {})
    if name not in engines:
        raise InputError(f"{file} has no {name}; it has {', '.join(engines) or 'no ENGINES'}")
    try:
        engine: Engine = engines[name]()
    except ImportError as error:
        raise MissingExtraError(
            f"{name} needs {error.name}, which Pansight does not depend on: pip install {error.name}"
        ) from error
    return engine


def as_rule(text: str) -> Any:
    """`paper`, `none` or a number, as `Segmenter` takes it. Raises InputError."""
    if text in ("paper", "none"):
        return text
    if text.isdigit() and int(text):
        return int(text)
    raise InputError(f"--resize {text} is not a rule; use paper, none or a short side in pixels, such as 512")


def precision_of(engine: Engine) -> str:
    """What the engine computes in."""
    if isinstance(engine, NetworkEngine | WholeEngine):
        return engine.session.description.precision
    return str(getattr(engine, "precision", "float32"))


def engine_name(engine: Engine, asked: str) -> str:
    """What runs an artefact that was opened with `auto`; else what was asked for."""
    if isinstance(engine, NetworkEngine | WholeEngine):
        return {
            "OnnxRuntimeSession": "onnxruntime",
            "OpenVINOSession": "openvino",
            "ProgramSession": "program",
        }.get(type(engine.session).__name__, asked)
    return asked
