"""What runs a network: one protocol, and a file for each runtime that keeps it."""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.runtime.engines.protocol import Answers, DetailedEngine, Engine, Output, Rgb, SemanticMap

if TYPE_CHECKING:
    from pansight.runtime.engines.opening import open_engine
    from pansight.runtime.engines.torch_engine import TorchEngine

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


# so that an engine of another runtime does not wait for torch's models to be imported
__getattr__ = lazy_names(
    __name__,
    {
        "TorchEngine": "pansight.runtime.engines.torch_engine",
        "open_engine": "pansight.runtime.engines.opening",
    },
)
