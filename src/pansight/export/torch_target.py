"""torch.export: a `.pt2` program that PyTorch runs, or compiles ahead of time, without the model's code."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pansight.export.network import NetworkCut, plain_attention
from pansight.export.whole import ShapedCut, WholeCut
from pansight.files import atomic_write
from pansight.runtime.engines.artefact import KEY, Description
from pansight.runtime.engines.program_engine import canvas


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
    inputs = cut.example(2, size)
    module: nn.Module = cut
    shapes: list[Any]
    if isinstance(cut, NetworkCut):
        images = {0: batch} if size is not None else {0: batch, 2: free, 3: free}
        shapes = [images, {0: batch}]
    else:
        images = {0: batch} if size is not None else {0: batch, 1: free, 2: free}
        module = ShapedCut(cut)
        valid, output = (canvas(int(side[0]), int(side[1])) for side in inputs[1:3])
        inputs = (inputs[0], valid, output, *inputs[3:])
        sides = {0: free, 1: free}
        shapes = [images, sides, sides, tuple({} for _ in inputs[3:])]
    with plain_attention(), torch.no_grad():
        return torch.export.export(module, inputs, dynamic_shapes=tuple(shapes))
