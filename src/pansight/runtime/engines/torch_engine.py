"""PyTorch as an engine: eager, folded or compiled; in single or half precision."""

import copy
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from pansight.errors import CheckpointError, DeviceError, InputError
from pansight.merging import Form, MergeSettings
from pansight.models.base import HasStages, PanopticModel
from pansight.models.normalise import Pixels
from pansight.models.preprocess import Preprocess, Sizes
from pansight.panoptic import PanopticBatch
from pansight.runtime.devices import choose_device, form_for
from pansight.runtime.engines.details import embeddings_of, instances_of, outputs_of, semantics_of
from pansight.runtime.engines.protocol import Answers, Output, Rgb, Size
from pansight.zoo.spec import ModelSpec

Mode: TypeAlias = Literal["eager", "folded", "compiled"]
"""`eager`: the network as it was trained. `folded`: norms and all else that is constant folded into the
weights; results change by rounding alone. `compiled`: folded, and compiled by torch.compile at the first call
(and again at the first call of another size)."""

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
"""Of the network. The merge works in float32 whatever it is."""

_DAMAGED = "not all weights are finite numbers; they are damaged, fetch or train them again"
_NOT_FINITE = "the network's output is not finite; its weights are damaged, fetch or train them again"
_OVERFLOW = "the network's output leaves the range of float16; use precision bfloat16 or float32"


class Network(nn.Module):
    """Pixels to the method's outputs, in float32: what is compiled and exported.

    Normalisation is inside, and what it needs are buffers. `precision` is that of all in between.
    """

    def __init__(self, model: PanopticModel, preprocess: Preprocess, precision: Precision) -> None:
        super().__init__()
        self.normalise = preprocess.normaliser()
        self.dtype = getattr(torch, precision)
        self.model = model
        if self.dtype != torch.float32:
            to_half(model, self.dtype)

    def forward(self, pixels: Pixels, valid: Int[Tensor, "b 2"] | None = None) -> Any:
        """RGB 0..255, padded; `valid` (height, width) of each image inside it, None: all of it."""
        outputs = self.model(self.normalise(pixels, valid).to(self.dtype))
        return outputs if self.dtype == torch.float32 else in_float32(outputs)


class TorchEngine:
    """A model run by PyTorch. The model that is given stays as it is: a copy works.

    Safe to share between threads: nothing changes after construction, and compiled networks, which torch may
    compile anew at any call, are called one at a time.

    Args:
        model: any method.
        device: `auto` (cuda, else mps, else cpu), or its name.
        mode: see Mode.
        precision: see Precision.
        form: of the merge. `pruned` looks at the data and is fast on a host; `fixed` has constant shapes and
            never makes an accelerator wait. None: `pruned` on the CPU, else `fixed`.
        resize: the method's own rule (`paper`), none (`none`), or the short side in pixels.
        merge: merge settings to change, such as {"stuff_area": 256}, or a record of the model's own kind.
        name: of the model, for its `spec`.

    Raises InputError for values out of range, DeviceError for a device that is not here, CheckpointError
    for weights that are not finite.
    """

    max_batch: int | None = None

    def __init__(
        self,
        model: PanopticModel,
        *,
        device: str | torch.device | None = None,
        mode: Mode = "folded",
        precision: Precision = "float32",
        form: Form | None = None,
        resize: Literal["paper", "none"] | int = "paper",
        merge: Mapping[str, Any] | MergeSettings | None = None,
        name: str = "",
    ) -> None:
        for what, value, values in (
            ("mode", mode, Mode),
            ("precision", precision, Precision),
            ("form", form or "fixed", Form),
        ):
            if value not in get_args(values):
                raise InputError(f"{what} {value!r} is unknown; use {', '.join(get_args(values))}")
        # outputs show what is wrong with the network alone, not with what the merge does with its weights
        if not _sound(model):
            raise CheckpointError(_DAMAGED)
        self._device = choose_device(device)
        self.form: Form = form or form_for(self._device)
        self.merge = model.settings_with(merge)
        self.mode: Mode = mode
        self.precision: Precision = precision
        preprocess = model.preprocess.resized(resize)
        ready = copy.deepcopy(model).eval().requires_grad_(False) if mode == "eager" else model.optimized()
        self.model = ready.to(self._device)
        self.spec = ModelSpec(
            name=name or model.method,
            method=model.method,
            config=model.config.model_copy(update={"merge": self.merge}),
            categories=model.categories,
            preprocess=preprocess,
            description="",
        )
        self.network = Network(self.model, preprocess, precision).to(self._device)
        self._network: Any = torch.compile(self.network) if mode == "compiled" else self.network
        self._turn = threading.Lock() if mode == "compiled" else nullcontext()

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    @property
    def stages(self) -> int | None:
        """Refinements, of which later ones can be left out; None where the method has no such thing."""
        return self.model.stages if isinstance(self.model, HasStages) else None

    def adjusted(self, side: int, stages: int | None = None) -> "TorchEngine":
        """The same model at another short side of the input, with fewer refinements; weights are shared."""
        engine = copy.copy(self)
        engine.spec = replace(self.spec, preprocess=self.spec.preprocess.resized(side))
        if stages is not None and isinstance(self.model, HasStages):
            engine.model = self.model.with_stages(stages)
            network = copy.copy(self.network)
            network._modules = {**self.network._modules, "model": engine.model}
            engine.network = network
            engine._network = torch.compile(network) if self.mode == "compiled" else network
        return engine

    @property
    def outputs(self) -> frozenset[Output]:
        """What the model can give besides its map."""
        return outputs_of(self.model)

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch, on the device; see Engine."""
        panoptic = self.answers(frames, ["panoptic"], sizes).panoptic
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
        with self._blame(frames):
            outputs, padded, finite = self._run_network(frames, sizes)
            merged = self._merged(outputs, padded, finite) if "panoptic" in wanted else None
            found = Answers(
                merged,
                instances_of(self.model, outputs, padded, self.merge, self.form)
                if "instances" in wanted
                else None,
                semantics_of(self.model, outputs, padded, self.form) if "semantics" in wanted else None,
                embeddings_of(self.model, outputs, padded, merged) if "embeddings" in wanted else None,
            )
            # these two wait for the device anyway
            if (found.instances is not None or found.semantics is not None) and not bool(finite):
                raise CheckpointError(self._not_finite())
        return found

    @torch.inference_mode()
    def run(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> tuple[Any, Sizes]:
        """The network alone: its outputs in float32, and the sizes that `merge_outputs` needs.

        For callers that merge more than once, with other settings. Waits for the device; raises as a call
        does.
        """
        with self._blame(frames):
            outputs, padded, finite = self._run_network(frames, sizes)
            if not bool(finite):
                raise CheckpointError(self._not_finite())
        return outputs, padded

    @torch.inference_mode()
    def merge_outputs(
        self, outputs: Any, sizes: Sizes, merge: Mapping[str, Any] | MergeSettings | None = None
    ) -> PanopticBatch:
        """Maps of what `run` gave, by the engine's settings or with some of them changed."""
        return self.model.merge(outputs, sizes, self.merge.replaced(merge), self.form)

    def _run_network(
        self, frames: Sequence[Rgb], sizes: Sequence[Size] | None
    ) -> tuple[Any, Sizes, Bool[Tensor, ""]]:
        """Outputs, sizes, and whether the outputs are finite; on a CPU they are, or an error is raised."""
        pixels, padded = self.spec.preprocess.frames(frames, self._device, sizes)
        valid = None if padded.filled else torch.tensor(padded.valid, device=self._device)
        with self._turn:
            outputs = self._network(pixels, valid)
        finite = _all_finite(outputs)
        if self._device.type == "cpu" and not bool(finite):
            raise CheckpointError(self._not_finite())
        return outputs, padded, finite

    def _merged(self, outputs: Any, sizes: Sizes, finite: Bool[Tensor, ""]) -> PanopticBatch:
        batch = self.merge_outputs(outputs, sizes)
        if self._device.type == "cpu":
            return batch
        # nobody waits for the answer yet; it shows when the batch is brought to the host
        return batch._replace(scores=torch.where(finite, batch.scores, torch.nan))

    def _not_finite(self) -> str:
        return _OVERFLOW if self.precision == "float16" else _NOT_FINITE

    @contextmanager
    def _blame(self, frames: Sequence[Rgb]) -> Iterator[None]:
        """Turn torch's errors into errors that the caller can act on."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                preprocess = self.spec.preprocess
                height, width = preprocess.padded_size([preprocess.target_size(*f.shape[:2]) for f in frames])
                raise DeviceError(
                    f"not enough memory for {len(frames)} x {width} x {height} pixels on {self.device}; "
                    "use a smaller --resize or --batch-size"
                ) from error
            # NaN is not a valid sampling position either, and may raise an error half-way
            if not _sound(self.model):
                raise CheckpointError(_NOT_FINITE) from error
            raise


def to_half(model: PanopticModel, dtype: torch.dtype) -> None:
    """Bring the network's weights to half precision, but for what the merge alone uses."""
    for name, module in model.named_children():
        if name not in model.merge_modules:
            module.to(dtype)


def in_float32(outputs: Any) -> Any:
    """The same nested tuples with every floating tensor in float32."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, tuple):
        parts = [in_float32(part) for part in outputs]
        return type(outputs)(*parts) if hasattr(outputs, "_fields") else tuple(parts)
    return outputs


def _sound(model: PanopticModel) -> bool:
    """Whether all weights are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def _all_finite(outputs: Any) -> Bool[Tensor, ""]:
    """Whether the outputs hold no NaN and no infinity, as a tensor: nothing waits for it yet.

    A sum tells, because both survive additions; it is of single precision, for half could overflow. Nested
    tuples count, too: masks between two stages decide by `> 0`, which hides what is not a number.
    """
    sums = [t.sum(dtype=torch.float32) for t in _tensors(outputs) if t.is_floating_point()]
    return torch.stack(sums).isfinite().all()


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, tuple):
        for output in outputs:
            yield from _tensors(output)
