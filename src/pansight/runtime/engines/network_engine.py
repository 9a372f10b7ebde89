"""Exported networks as engines: another runtime runs the graph, torch merges on the host."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from pansight.errors import CheckpointError, InputError
from pansight.merging import MergeSettings
from pansight.models.base import PanopticModel
from pansight.models.naming import rebuilt_outputs
from pansight.models.preprocess import Preprocess, Sizes
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.artefact import MERGE_PREFIX, Description
from pansight.runtime.engines.details import embeddings_of, instances_of, outputs_of, semantics_of
from pansight.runtime.engines.opening import EngineOptions
from pansight.runtime.engines.protocol import Answers, Output, Rgb, Size
from pansight.zoo.methods import construct

_NOT_FINITE = "the network's output is not finite; the file or its weights are damaged, export it again"


@runtime_checkable
class Session(Protocol):
    """A graph that a runtime has opened. May be called from several threads."""

    description: Description
    device: str

    def constants(self) -> dict[str, Tensor]:
        """The outputs that do not depend on the input, by name; copies."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The other outputs; good until the next call from the same thread."""


class NetworkEngine:
    """An engine made of a session that runs the network and of a model that only merges.

    Args:
        session: runs the network.
        options: what the user asked for.

    Raises InputError for what this file cannot do, CheckpointError when its parts do not fit.
    """

    max_batch: int | None = None

    def __init__(self, session: Session, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.session = session
        described = session.description
        preprocess = preprocess_of(described, options)
        if options.form == "fixed":
            raise InputError(
                "an exported network is merged on the host, in the pruned form; export with --cut whole "
                "for the fixed one"
            )
        self.model = merging_model(replace(described, preprocess=preprocess), session.constants())
        self.merge = self.model.settings_with(options.merge)
        config = described.config.model_copy(update={"merge": self.merge})
        self.spec = replace(described.spec, preprocess=preprocess, config=config)

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.session.device

    @property
    def outputs(self) -> frozenset[Output]:
        """What the model can give besides its map."""
        return outputs_of(self.model)

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch, on the host; see Engine."""
        wanted: tuple[Output, ...] = ("panoptic",)
        panoptic = self.answers(frames, wanted, sizes).panoptic
        assert panoptic is not None
        return panoptic

    @torch.inference_mode()
    def answers(
        self, frames: Sequence[Rgb], wanted: Collection[Output], sizes: Sequence[Size] | None = None
    ) -> Answers:
        """Run the network once, and make of its outputs what is wanted; see DetailedEngine."""
        missing = set(wanted) - self.outputs
        if missing:
            raise InputError(f"{self.spec.method} has no {' and no '.join(sorted(missing))} of its own")
        outputs, padded = self.run(frames, sizes)
        merged = self.merge_outputs(outputs, padded) if "panoptic" in wanted else None
        return Answers(
            merged,
            instances_of(self.model, outputs, padded, self.merge, "pruned")
            if "instances" in wanted
            else None,
            semantics_of(self.model, outputs, padded, "pruned") if "semantics" in wanted else None,
            embeddings_of(self.model, outputs, padded, merged) if "embeddings" in wanted else None,
        )

    @torch.inference_mode()
    def run(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> tuple[Any, Sizes]:
        """The network alone: its outputs, and the sizes that `merge_outputs` needs; raises as a call does."""
        pixels, padded = self.spec.preprocess.frames(list(frames), "cpu", sizes)
        return self.network(pixels.numpy(), np.array(padded.valid, dtype=np.int64)), padded

    @torch.inference_mode()
    def merge_outputs(
        self, outputs: Any, sizes: Sizes, merge: Mapping[str, Any] | MergeSettings | None = None
    ) -> PanopticBatch:
        """Maps of what `run` gave, by the engine's settings or with some of them changed."""
        return self.model.merge(outputs, sizes, self.merge.replaced(merge), "pruned")

    def network(self, pixels: np.ndarray, valid: np.ndarray) -> Any:
        """The method's outputs for pixels [b, 3, h, w], padded, and heights and widths [b, 2] inside them.

        Raises CheckpointError where they are not finite.
        """
        feeds = {"images": pixels, "valid": valid}
        found = {name: torch.from_numpy(value) for name, value in self.session.run(feeds).items()}
        sums = [value.sum(dtype=torch.float32) for value in found.values() if value.is_floating_point()]
        if not bool(torch.stack(sums).isfinite().all()):
            raise CheckpointError(_NOT_FINITE)
        return rebuilt_outputs(type(self.model).outputs, found)


def preprocess_of(described: Description, options: EngineOptions) -> Preprocess:
    """How images come. Raises InputError for what this file cannot do."""
    if options.precision not in (None, "float32", described.precision):
        raise InputError(f"{described.name} has precision {described.precision}; leave out the precision")
    if options.device not in (None, "auto", "cpu"):
        raise InputError(f"this runtime runs on the cpu, not on {options.device}; leave out the device")
    if options.resize == "paper":
        return described.preprocess
    if described.size is not None:
        height, width = described.size
        raise InputError(
            f"{described.name} was exported for {height} x {width} only; leave out --resize, or export it "
            "without --size"
        )
    return described.preprocess.resized(options.resize)


def merging_model(described: Description, constants: Mapping[str, Tensor]) -> PanopticModel:
    """The model as far as its merge needs it: without a network, with the weights that `constants` bring.

    Raises CheckpointError where these are not the ones it needs.
    """
    parts = (described.method, described.config, described.categories, described.preprocess)
    blank = construct(*parts, blank=True)
    model = blank.optimized() if type(blank).merge_modules else blank
    for name, _ in list(model.named_children()):
        if name not in type(model).merge_modules:
            setattr(model, name, None)
    own = dict(model.named_parameters())
    wrong = own.keys() ^ {name.removeprefix(MERGE_PREFIX) for name in constants}
    for name, parameter in own.items():
        value = constants.get(MERGE_PREFIX + name)
        if value is None or value.shape != parameter.shape:
            wrong.add(name)
        else:
            parameter.data = value
    if wrong:
        raise CheckpointError(f"{described.name}: {sorted(wrong)[0]} does not fit; export it again")
    return model.eval().requires_grad_(False)
