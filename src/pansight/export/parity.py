"""Whether another runtime agrees with torch, in the network's outputs and in every pixel's id."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from pansight.models.base import PanopticModel
from pansight.models.naming import named_outputs
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.torch_engine import Network

OUTPUT_TOLERANCE = 1e-2
"""Largest difference of an output, as a share of its largest value. Rounding alone makes 1e-5; where YOSO
binarises masks between stages, a pixel may fall to the other side."""

ID_TOLERANCE = 1e-3
"""Share of pixels that may differ: ties."""


@dataclass(frozen=True)
class Parity:
    """How far two runtimes are apart on one image, and what each took.

    `outputs` is the largest difference of the network's outputs, each as a share of its own largest value;
    `ids` the share of pixels that differ. `seconds` and `torch_seconds` are the network's best of three.
    """

    outputs: float
    ids: float
    seconds: float
    torch_seconds: float

    @property
    def holds(self) -> bool:
        """Whether the two say the same but for ties."""
        return self.outputs <= OUTPUT_TOLERANCE and self.ids_hold

    @property
    def ids_hold(self) -> bool:
        """Whether the maps are the same but for ties."""
        return self.ids <= ID_TOLERANCE


def canary(size: tuple[int, int] = (240, 320)) -> UInt8[np.ndarray, "h w 3"]:
    """An image with edges, slopes and texture, the same everywhere and always."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = np.stack((255 * y / height, 255 * x / width, 128 + 80 * np.sin(x / 9) * np.cos(y / 7)), axis=-1)
    draws = np.random.default_rng(2023)
    for _ in range(24):
        top, left = draws.integers(0, height), draws.integers(0, width)
        tall, wide = draws.integers(8, height // 2), draws.integers(8, width // 2)
        image[top : top + tall, left : left + wide] = draws.integers(0, 256, 3)
    return (image + draws.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)


@torch.inference_mode()
def compare(engine: NetworkEngine, model: PanopticModel, repeats: int = 3) -> Parity:
    """Run both on the canary, at its own size where the file takes any; `model` is optimized."""
    described = engine.session.description
    preprocess = described.preprocess
    if described.size is None and preprocess.squash is None:
        preprocess = preprocess.resized("none")
    pixels, sizes = preprocess.frames([canary()])
    valid = np.array(sizes.valid, dtype=np.int64)
    network = Network(model, preprocess, "float32").eval()
    expected, torch_seconds = _timed(lambda: network(pixels, torch.from_numpy(valid)), repeats)
    found, seconds = _timed(lambda: engine.network(pixels.numpy(), valid), repeats)
    worst = 0.0
    others = named_outputs(found)
    for name, value in named_outputs(expected, type(model).training_outputs).items():
        worst = max(worst, float((value - others[name]).abs().max() / value.abs().max().clamp(min=1e-6)))
    maps = [model.merge(outputs, sizes, engine.merge, "pruned").ids for outputs in (expected, found)]
    return Parity(worst, float((maps[0] != maps[1]).float().mean()), seconds, torch_seconds)


def _timed(call: Any, repeats: int) -> tuple[Any, float]:
    """What the last call gives, and the shortest time of those after the first."""
    best, found = float("inf"), call()
    for _ in range(repeats):
        started = time.perf_counter()
        found = call()
        best = min(best, time.perf_counter() - started)
    return found, best
