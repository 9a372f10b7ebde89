"""Servers of small models for the tests of the interface."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from serving import Server, Start, as_file, begin

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene
from pansight.serve.hub import Broken
from pansight.serve.served import ServedModel


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start servers: `start(model, ..., option=value)`; they end with the tests of the module."""
    ends: list[Callable[[], None]] = []

    def one(*models: ServedModel | Broken, **options: Any) -> Server:
        server = begin(*models, **options)
        ends.append(server.end)
        return server

    yield one
    for end in ends:
        end()


@pytest.fixture(scope="session")
def model(small_config: YOSOConfig) -> YOSO:
    """An untrained YOSO that runs in milliseconds and keeps all its proposals."""
    torch.manual_seed(16)
    return YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()


@pytest.fixture(scope="session")
def engine(model: YOSO) -> TorchEngine:
    """That model, ready to run."""
    return TorchEngine(model, device="cpu", name="small")


@pytest.fixture(scope="session")
def segmenter(engine: TorchEngine) -> Segmenter:
    """The same, ready to be called: what the server's answers are compared with."""
    return Segmenter(engine)


@pytest.fixture(scope="module")
def server(start: Start, engine: TorchEngine) -> Server:
    """A server of one small model, called small."""
    return start(ServedModel("small", engine), held_bytes=32 * 1024 * 1024)


@pytest.fixture(scope="session")
def picture() -> UInt8[np.ndarray, "h w 3"]:
    """A synthetic scene of 96 x 128 pixels."""
    return render_scene(5, 0, 96, 128).image


@pytest.fixture(scope="session")
def png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """That scene as a PNG file: lossless, so that maps can be compared."""
    return as_file(picture)
