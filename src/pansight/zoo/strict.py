"""Weights into a model: every key and shape must be right; one line lists those that are not."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pansight.errors import CheckpointError

State = dict[str, Tensor]

SHOWN = 3
"""keys of a kind that a message names; the rest are counted"""


def unwrapped(state: Mapping[str, Tensor]) -> State:
    """The tensors without what wrapping puts into keys: "_orig_mod." and, before all of them, "module."."""
    bare = {key.replace("_orig_mod.", ""): tensor for key, tensor in state.items()}
    if bare and all(key.startswith("module.") for key in bare):
        bare = {key.removeprefix("module."): tensor for key, tensor in bare.items()}
    return bare


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where a file's keys and shapes differ from a model's."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[tuple[str, str, str], ...]
    """key, what the file holds, what the model needs"""

    def __bool__(self) -> bool:
        return bool(len(self))

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshaped)

    def __str__(self) -> str:
        shapes = [f"{key} is {found}, not {wanted}" for key, found, wanted in self.misshaped]
        groups = (("missing", self.missing), ("unexpected", self.unexpected), ("mis-shaped", shapes))
        return "; ".join(f"{len(keys)} {kind}: {_shortened(keys)}" for kind, keys in groups if keys)


def _shortened(keys: Iterable[str]) -> str:
    keys = list(keys)
    shown = ", ".join(keys[:SHOWN])
    return shown if len(keys) <= SHOWN else f"{shown} and {len(keys) - SHOWN} more"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def compare(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    may_lack: Iterable[str] = (),
    may_hold: Iterable[str] = (),
) -> Mismatch:
    """Hold a file's tensors against a model's.

    Counts of batches (`num_batches_tracked`) may be missing: old files do not have them, and only a
    momentum of None would read them.
    """
    wanted = model.state_dict()
    lacking, extra = set(may_lack), set(may_hold)
    missing = [
        key
        for key in wanted
        if key not in state and key not in lacking and not key.endswith(".num_batches_tracked")
    ]
    unexpected = [key for key in state if key not in wanted and key not in extra]
    misshaped = []
    for key, tensor in wanted.items():
        found = state.get(key)
        if found is None:
            continue
        if found.shape != tensor.shape:
            misshaped.append((key, _shape(found), _shape(tensor)))
        elif tensor.is_floating_point() and not found.is_floating_point():
            misshaped.append((key, str(found.dtype).removeprefix("torch."), "floating point"))
    return Mismatch(tuple(missing), tuple(unexpected), tuple(misshaped))


@torch.no_grad()
def load_strictly(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    may_lack: Iterable[str] = (),
    may_hold: Iterable[str] = (),
    complaint: Callable[[Mismatch], str],
) -> None:
    """Copy `state` into `model`, in the model's precision; all of it or nothing.

    `complaint` turns a mismatch into the message of the CheckpointError that is raised.
    """
    mismatch = compare(model, state, may_lack=may_lack, may_hold=may_hold)
    if mismatch:
        raise CheckpointError(complaint(mismatch))
    for key, tensor in model.state_dict().items():
        if key in state:
            tensor.copy_(state[key])
