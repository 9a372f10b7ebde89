"""A model as the server holds it: the one place that knows how the library runs a network and a merge."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import annotated_types
import torch
from torch import Tensor

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.merging import MergeSettings
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.panoptic.sizes import Sizes
from pansight.runtime.engines.protocol import Engine, Rgb, Size
from pansight.runtime.segmenter import Segmenter

_ENDS = {"keep_share": 1.5, "stuff_area": 16384.0, "budget": 256.0}
"""Where sliders end whose settings do not."""


@dataclass(frozen=True)
class Setting:
    """A threshold that a request may replace.

    `low` and `high` bound it (`high` None: nothing does); `end` and `step` are a slider's; `default` is the
    model's own value; `whole` is whether it counts something.
    """

    name: str
    low: float
    high: float | None
    end: float
    step: float
    default: float
    whole: bool
    meaning: str


@dataclass(frozen=True)
class Held:
    """The network's output for one image: enough to merge again with other thresholds."""

    outputs: Any
    sizes: Sizes
    nbytes: int


@dataclass(frozen=True)
class Job:
    """One image to segment, with the thresholds it asks for."""

    image: Rgb
    settings: MergeSettings


@dataclass(frozen=True)
class Done:
    """One image segmented. Times are in seconds, those of its batch; `batch` images shared the network.

    `held` is None where the engine does not give its network's outputs.
    """

    panoptic: PanopticMap
    held: Held | None
    network: float
    merge: float
    batch: int


@runtime_checkable
class SplitEngine(Engine, Protocol):
    """An engine that runs its network and its merge apart, so that one image can be merged again."""

    def run(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> tuple[Any, Sizes]:
        """The network's outputs of a batch, and what the merge must know of it."""

    def merge_outputs(
        self, outputs: Any, sizes: Sizes, merge: Mapping[str, Any] | MergeSettings | None = None
    ) -> PanopticBatch:
        """Maps of what `run` gave."""


class ServedModel:
    """An engine under a name. Not for two threads at once: a batcher calls it from a thread of its own.

    An engine that cannot merge apart from its network has no thresholds to move and nothing to keep.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self._segmenter = Segmenter(engine, batch_size=256)
        self._split = engine if isinstance(engine, SplitEngine) else None
        self.own: MergeSettings = engine.spec.config.merge  # type: ignore[attr-defined]
        fixed = getattr(engine, "form", "pruned") == "fixed"
        listed = _settings(self.own, fixed) if self._split is not None else []
        self.settings = {one.name: one for one in listed}

    @property
    def method(self) -> str:
        """Name of the method, as the zoo knows it."""
        return self.engine.spec.method

    @property
    def categories(self) -> Categories:
        """The categories of its maps."""
        return self.engine.spec.categories

    def shape(self, image: Rgb) -> tuple[int, int]:
        """Height and width at which the image enters the network: only equal ones share a batch.

        Raises InputError where that is too large.
        """
        return self._segmenter._padded_size(image)

    def checked(self, asked: Mapping[str, str]) -> MergeSettings:
        """The settings of a request, from the text of its thresholds.

        Former names are accepted, such as `overlap_threshold`.

        Raises InputError for a name that the model does not have and for a value out of range.
        """
        changes: dict[str, float] = {}
        for given, text in asked.items():
            name = given.removeprefix("merge.")
            name = name if name in self.settings else type(self.own).former_names.get(name, name)
            setting = self.settings.get(name)
            if setting is None:
                raise InputError(f"{self.name} has no threshold {given}; it has {', '.join(self.settings)}")
            try:
                value = float(text)
            except ValueError:
                raise InputError(f"{given} must be a number, got {text!r}") from None
            inside = setting.low <= value and (setting.high is None or value <= setting.high)
            if not inside or value == float("inf"):  # NaN is not inside either
                end = "up" if setting.high is None else f"to {setting.high:g}"
                raise InputError(f"{given} must be {setting.low:g} {end}, got {value:g}; change it")
            if setting.whole and value != int(value):
                raise InputError(f"{given} must be a whole number, got {value:g}; change it")
            changes[name] = value
        return self.own.replaced(changes)

    def told(self, settings: MergeSettings) -> dict[str, float]:
        """The thresholds in `settings` that a request may replace."""
        return {name: getattr(settings, name) for name in self.settings}

    def run(self, jobs: Sequence[Job]) -> list[Done]:
        """Segment images of equal `shape`, in one batch.

        Raises CheckpointError when the network's output is not finite, DeviceError when memory runs out.
        """
        images = [job.image for job in jobs]
        started = time.perf_counter()
        if self._split is None:
            maps = self._segmenter.batch(images)
            seconds = time.perf_counter() - started
            return [Done(panoptic, None, seconds, 0.0, len(jobs)) for panoptic in maps]
        outputs, sizes = self._split.run(images)
        network = time.perf_counter() - started
        started = time.perf_counter()
        held = [_held(outputs, sizes, index, len(jobs)) for index in range(len(jobs))]
        if len({job.settings for job in jobs}) == 1:
            maps = self._merged(outputs, sizes, jobs[0].settings)
        else:
            maps = [self.merge(one, job.settings) for one, job in zip(held, jobs, strict=True)]
        merge = time.perf_counter() - started
        return [
            Done(panoptic, one, network, merge, len(jobs)) for panoptic, one in zip(maps, held, strict=True)
        ]

    def merge(self, held: Held, settings: MergeSettings) -> PanopticMap:
        """The map of kept outputs; the network does not run."""
        return self._merged(held.outputs, held.sizes, settings)[0]

    def _merged(self, outputs: Any, sizes: Sizes, settings: MergeSettings) -> list[PanopticMap]:
        assert self._split is not None
        batch = self._split.merge_outputs(outputs, sizes, settings)
        return batch.to_maps(self.categories, sizes.output)


def _settings(own: MergeSettings, fixed: bool) -> list[Setting]:
    """The fields of the record that are numbers; the budget matters to the fixed form alone."""
    found = []
    for name, field in type(own).model_fields.items():
        value = getattr(own, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or (name == "budget" and not fixed):
            continue
        low, high = 0.0, None
        for limit in field.metadata:
            if isinstance(limit, annotated_types.Ge):
                low = float(limit.ge)  # type: ignore[arg-type]
            elif isinstance(limit, annotated_types.Gt):
                low = float(limit.gt) + 1  # type: ignore[arg-type]
            elif isinstance(limit, annotated_types.Le):
                high = float(limit.le)  # type: ignore[arg-type]
        whole = isinstance(value, int)
        end = high if high is not None else max(_ENDS.get(name, 1.0), 2.0 * value)
        step = max(1.0, round(end / 256)) if whole else 0.01
        meaning = " ".join((field.description or name).split())
        found.append(Setting(name, low, high, end, step, float(value), whole, meaning))
    return found


def _held(outputs: Any, sizes: Sizes, index: int, count: int) -> Held:
    part = _one(outputs, index, count)
    nbytes = sum(t.element_size() * t.nelement() for t in _tensors(part))
    return Held(part, Sizes(sizes.padded, [sizes.valid[index]], [sizes.output[index]]), nbytes)


def _one(outputs: Any, index: int, count: int) -> Any:
    """The outputs of one image of the batch; copies, so that keeping one does not keep the others."""
    if isinstance(outputs, Tensor):
        if count == 1 or outputs.ndim == 0 or outputs.shape[0] != count:
            return outputs  # tables that all images share, such as anchors, have far more rows than a batch
        with torch.inference_mode():
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
