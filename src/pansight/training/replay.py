"""A step that went wrong, saved completely: its images, the weights before it, and its random state.

The file is torch's own, of tensors and plain values alone: reading it runs no code. `pansight train --replay
FILE` repeats the step and says where numbers stop being finite.
"""

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.errors import CheckpointError, PansightError
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.training.batch import TrainingBatch
from pansight.training.config import TrainConfig
from pansight.training.folder import REPLAY
from pansight.training.freezing import Frozen
from pansight.training.recipes import make_config
from pansight.zoo.methods import construct, find_method
from pansight.zoo.strict import load_strictly

FORMAT = "pansight-replay"
NAMED = 3
"""parameters or layers that a line names; the rest are counted"""


class Pass(NamedTuple):
    """The inputs of one pass of a step."""

    batch: TrainingBatch
    random_state: Tensor
    """of torch's generator on the CPU, as the pass began"""
    device_state: Tensor | None
    """of the accelerator's, where there is one"""

    @classmethod
    def now(cls, batch: TrainingBatch) -> "Pass":
        """A pass that is about to begin."""
        device = batch.images.device
        state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(batch, torch.get_rng_state(), state)


def save_replay(
    folder: Path,
    model: PanopticModel,
    config: TrainConfig,
    step: int,
    rank: int | None,
    passes: list[Pass],
    reason: str,
    terms: dict[str, float],
) -> Path:
    """Write the file, and return its path. Raises InputError when it cannot be written.

    Args:
        folder: of the training.
        model: with the weights that the step began with; they change only at its end.
        config: of the training.
        step: its number, from 1.
        rank: of the process, where there are several.
        passes: of this step, up to the one that went wrong.
        reason: one line.
        terms: the loss terms of the last pass, as far as they were known.
    """
    name = REPLAY.format(step=step)
    if rank is not None:
        name = name.replace(".pt", f"-process-{rank}.pt")
    content = {
        "format": FORMAT,
        "step": step,
        "reason": reason,
        "terms": terms,
        "training": json.dumps(config.model_dump(mode="json")),
        "method": model.method,
        "config": model.config.model_dump_json(),
        "categories": json.dumps({"name": model.categories.name, "items": model.categories.to_json()}),
        "preprocess": model.preprocess.model_dump_json(),
        "weights": {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()},
        "passes": [
            {
                "batch": {
                    field: value.cpu() if isinstance(value, Tensor) else value
                    for field, value in one.batch._asdict().items()
                },
                "random_state": one.random_state,
                "device_state": None if one.device_state is None else one.device_state.cpu(),
            }
            for one in passes
        ],
    }
    path = folder / name
    with atomic_write(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:
            raise OSError(
                28, f"torch could not write it completely ({str(error).splitlines()[0]})"
            ) from error
    return path


def read_replay(path: Path) -> dict[str, Any]:
    """Contents of such a file. Raises CheckpointError when it is not one, or damaged."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}; give the replay-step-*.pt that a training named")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's own words advise to read it unsafely
        raise CheckpointError(
            f"{path} is no replay file, or damaged; give the replay-step-*.pt that a training named"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a replay file; give the replay-step-*.pt that a training named")
    return content


def replay(path: Path, device: str = "cpu") -> Iterator[str]:
    """Repeat the step and yield the findings, line by line.

    Names of the images, sizes and segments, weights, loss terms then and now, the first layer whose output is
    not finite, gradients. Raises CheckpointError when the file cannot be read.
    """
    content = read_replay(path)
    config = make_config(json.loads(content["training"]))
    model = _model(path, content).to(device)
    model.train()
    Frozen(model, config.freeze).hold()
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    passes = content["passes"]
    yield f"step {content['step']} of {config.steps}, seed {config.seed}: {content['reason']}"
    yield _finite("weights before it", dict(model.named_parameters()))
    model.zero_grad()
    for number, one in enumerate(passes, 1):
        batch = TrainingBatch(**one["batch"])
        place = f"pass {number} of {len(passes)}: " if len(passes) > 1 else ""
        yield f"{place}images: {', '.join(batch.names)}"
        shapes = ", ".join(f"{w} x {h}" for h, w in batch.sizes.tolist())
        counts = ", ".join(map(str, (batch.categories >= 0).sum(1).tolist()))
        yield f"  width x height: {shapes}; segments: {counts}; crowds: {batch.crowd.sum(1).tolist()}"
        on_device = TrainingBatch._make(
            value.to(device) if isinstance(value, Tensor) else value for value in batch
        )
        torch.set_rng_state(one["random_state"])
        if one["device_state"] is not None and torch.device(device).type == "cuda":
            torch.cuda.set_rng_state(one["device_state"], torch.device(device))
        last = number == len(passes)
        yield from _through(model, on_device, config, content["terms"] if last else {}, device)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    if gradients:
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        yield f"norm of all gradients: {float(norm):.6g}"
        yield _finite("gradients", gradients)


def _model(path: Path, content: dict[str, Any]) -> PanopticModel:
    config = find_method(content["method"]).config.model_validate_json(content["config"])
    table = json.loads(content["categories"])
    categories = Categories.from_json(table["items"], name=table["name"])
    preprocess = Preprocess.model_validate_json(content["preprocess"])
    model = construct(content["method"], config, categories, preprocess, blank=True)
    load_strictly(model, content["weights"], complaint=lambda mismatch: f"{path}: {mismatch}")
    return model


def _through(
    model: PanopticModel, batch: TrainingBatch, config: TrainConfig, then: dict[str, float], device: str
) -> Iterator[str]:
    """One pass, forward and back."""
    found: list[str] = []
    largest: list[tuple[float, str]] = []
    hooks = [
        module.register_forward_hook(_watch(name, found, largest))
        for name, module in model.named_modules()
        if name and not list(module.children())
    ]
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    kind = kinds.get(config.precision)
    context = nullcontext() if kind is None else torch.autocast(torch.device(device).type, kind)
    try:
        images = batch.inputs(model.preprocess)
        if config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with context:
            losses = model.losses(model(images), batch.targets())
    except PansightError as error:
        yield f"  {error}"
        losses = {}
    finally:
        for hook in hooks:
            hook.remove()
    yield (
        f"  first layer whose output is not finite: {found[0]}"
        if found
        else "  every layer's output is finite"
    )
    for value, name in sorted(largest, reverse=True)[:NAMED]:
        yield f"  largest outputs: {name}: {value:.6g}"
    for name, loss in losses.items():
        before = f"  (then {then[name]:.6g})" if name in then else ""
        mark = "" if math.isfinite(float(loss.detach())) else "  <- not finite"
        yield f"  loss {name}: {float(loss.detach()):.6g}{before}{mark}"
    if losses:
        total = torch.stack(list(losses.values())).sum()
        yield f"  loss in all: {float(total.detach()):.6g}"
        total.backward()


def _watch(name: str, found: list[str], largest: list[tuple[float, str]]) -> Any:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        for tensor in output if isinstance(output, tuple | list) else (output,):
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or not tensor.numel():
                continue
            if not bool(tensor.isfinite().all()):
                found.append(f"{name} ({type(module).__name__})")
            else:
                largest.append((float(tensor.detach().abs().max()), name))

    return look


def _finite(what: str, tensors: dict[str, Any]) -> str:
    wrong = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if not wrong:
        return f"{what}: all finite"
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return f"{what}: {len(wrong)} of {len(tensors)} are not finite: {', '.join(wrong[:NAMED])}{more}"
