"""What runs a network: one protocol, and a file for each runtime that keeps it."""

from pansight.runtime.engines.protocol import Answers, DetailedEngine, Engine, Output, Rgb, SemanticMap

__all__ = [
    "Answers",
    "DetailedEngine",
    "Engine",
    "Output",
    "Rgb",
    "SemanticMap",
    "TorchEngine",
    "open_engine",
]


def __getattr__(name: str) -> object:
    # so that an engine of another runtime does not wait for torch's models to be imported
    if name == "TorchEngine":
        from pansight.runtime.engines.torch_engine import TorchEngine

        return TorchEngine
    if name == "open_engine":
        from pansight.runtime.engines.opening import open_engine

        return open_engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
