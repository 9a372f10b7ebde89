"""torch.export: a `.pt2` program that PyTorch runs, or compiles ahead of time, without the model's code."""

from pathlib import Path
from typing import Any

import torch

from pansight.export.network import NetworkCut, plain_attention
from pansight.export.whole import WholeCut
from pansight.files import atomic_write
from pansight.runtime.engines.artefact import KEY, Description


def write_program(cut: NetworkCut | WholeCut, description: Description, path: Path) -> None:
    """Write the program, whole or not at all; batch, and height and width without `size`, are free.

    Raises InputError where it cannot be written.
    """
    program = _program(cut, description.size)
    names = ",".join(cut.names())
    with atomic_write(path) as temporary:
        extra = {KEY: description.to_json(), "outputs": names, "inputs": ",".join(cut.input_names())}
        torch.export.save(program, temporary, extra_files=extra)


def _program(cut: NetworkCut | WholeCut, size: tuple[int, int] | None) -> Any:
    batch = torch.export.Dim.DYNAMIC
    free = torch.export.Dim.AUTO
    first = 2 if isinstance(cut, NetworkCut) else 1
    images: dict[int, Any] = {0: batch}
    if size is None:
        images |= {first: free, first + 1: free}
    inputs = cut.example(2, size)
    shapes: list[Any] = [images, {0: batch} if isinstance(cut, NetworkCut) else {}, *({} for _ in inputs[2:])]
    with plain_attention(), torch.no_grad():
        return torch.export.export(cut, inputs, dynamic_shapes=tuple(shapes))
