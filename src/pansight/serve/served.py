"""A model as the server holds it: the one place that knows how the library runs a network and a merge."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.merging.sizes import Sizes
from pansight.panoptic import PanopticMap
from pansight.runtime.segmenter import Segmenter

Rgb: TypeAlias = UInt8[np.ndarray, "h w 3"]
Settings: TypeAlias = tuple[tuple[str, float], ...]
"""Thresholds that a request replaces, by name, sorted; those it leaves out are the model's own."""


@dataclass(frozen=True)
class Setting:
    """A threshold that a request may replace: its name, range, step of a slider, and the model's own value."""

    name: str
    low: float
    high: float
    step: float
    default: float
    meaning: str


@dataclass(frozen=True)
class Held:
    """What the network said of one image: enough to merge again with other thresholds."""

    outputs: Any
    sizes: Sizes
    nbytes: int


@dataclass(frozen=True)
class Job:
    """One image to segment, with the thresholds it asks for."""

    image: Rgb
    settings: Settings = ()


@dataclass(frozen=True)
class Done:
    """One image segmented. Times are in seconds, those of its batch; `batch` images shared the network."""

    panoptic: PanopticMap
    held: Held
    network: float
    merge: float
    batch: int


class ServedModel:
    """A Segmenter under a name. Not for two threads at once: a batcher calls it from a thread of its own."""

    def __init__(self, name: str, segmenter: Segmenter) -> None:
        self.name = name
        self._segmenter = segmenter
        self._model = segmenter.model
        self.settings = {one.name: one for one in _settings(self._model)}

    @property
    def method(self) -> str:
        """Name of the method, as the zoo knows it."""
        return self._model.method

    @property
    def categories(self) -> Categories:
        """What its maps speak of."""
        return self._segmenter.categories

    def shape(self, image: Rgb) -> tuple[int, int]:
        """Height and width at which the image enters the network: only equal ones share a batch.

        Raises InputError where that is too large.
        """
        return self._segmenter._padded_size(image)

    def checked(self, asked: Mapping[str, float]) -> Settings:
        """The thresholds a request asks for. Raises InputError for a name it lacks or a value out of range."""
        for name, value in asked.items():
            setting = self.settings.get(name)
            if setting is None:
                raise InputError(f"{self.name} has no threshold {name}; it has {', '.join(self.settings)}")
            if not setting.low <= value <= setting.high:  # NaN, too
                raise InputError(
                    f"{name} must be {setting.low:g} to {setting.high:g}, got {value:g}; change it"
                )
        return tuple(sorted(asked.items()))

    @torch.inference_mode()
    def run(self, jobs: Sequence[Job]) -> list[Done]:
        """Segment images of equal `shape`, in one batch.

        Raises CheckpointError when the network's output is not finite.
        """
        started = time.perf_counter()
        inputs, sizes = self._segmenter.preprocess.batch([job.image for job in jobs], self._segmenter.device)
        outputs = self._model(inputs)
        if not all(bool(t.isfinite().all()) for t in _tensors(outputs) if t.is_floating_point()):
            raise CheckpointError(f"the output of {self.name} is not finite; its weights are damaged")
        network = time.perf_counter() - started
        done = []
        for index, job in enumerate(jobs):
            started = time.perf_counter()
            held = _held(outputs, sizes, index, len(jobs))
            panoptic = self.merge(held, job.settings)
            done.append(Done(panoptic, held, network, time.perf_counter() - started, len(jobs)))
        return done

    @torch.inference_mode()
    def merge(self, held: Held, settings: Settings) -> PanopticMap:
        """The map of outputs that are at hand; the network does not run."""
        own = {name: getattr(self._model, name) for name, _ in settings}
        try:
            for name, value in settings:
                setattr(self._model, name, value)
            merged = self._model.merge(held.outputs, held.sizes)
        finally:
            for name, value in own.items():
                setattr(self._model, name, value)
        return merged.to_maps(self.categories, held.sizes.output)[0]


def _settings(model: Any) -> list[Setting]:
    known = (
        ("object_threshold", 1.0, "score that a segment must exceed"),
        ("overlap_threshold", 1.0, "share that decides between overlapping masks"),
    )
    return [
        Setting(name, 0.0, high, 0.01, float(getattr(model, name)), meaning)
        for name, high, meaning in known
        if hasattr(model, name)
    ]


def _held(outputs: Any, sizes: Sizes, index: int, count: int) -> Held:
    part = _one(outputs, index, count)
    nbytes = sum(t.element_size() * t.nelement() for t in _tensors(part))
    return Held(part, Sizes(sizes.padded, [sizes.valid[index]], [sizes.output[index]]), nbytes)


def _one(outputs: Any, index: int, count: int) -> Any:
    """The outputs of one image of the batch; copies, so that keeping one does not keep the others."""
    if isinstance(outputs, Tensor):
        if count == 1 or outputs.ndim == 0 or outputs.shape[0] != count:
            return outputs  # tables that all images share, such as anchors, have far more rows than a batch
        return outputs[index : index + 1].clone()
    if isinstance(outputs, tuple):
        parts = [_one(part, index, count) for part in outputs]
        return type(outputs)(*parts) if hasattr(outputs, "_fields") else tuple(parts)
    return outputs


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, tuple):
        return [tensor for part in outputs for tensor in _tensors(part)]
    return []
