"""torch.export: a `.pt2` program that PyTorch runs, or compiles ahead of time, without the model's code."""

from pathlib import Path
from typing import Any

import torch

from pansight.export.network import NetworkCut, plain_attention
from pansight.files import atomic_write
from pansight.runtime.engines.artefact import KEY, Description


def write_program(cut: NetworkCut, description: Description, path: Path) -> None:
    """Write the program atomically; batch, and height and width without `size`, are free.

    Raises InputError where it cannot be written.
    """
    program = _program(cut, description.size)
    names = ",".join(cut.names())
    with atomic_write(path) as temporary:
        extra = {KEY: description.to_json(), "outputs": names, "inputs": ",".join(cut.input_names())}
        torch.export.save(program, temporary, extra_files=extra)


def _program(cut: NetworkCut, size: tuple[int, int] | None) -> Any:
    batch = torch.export.Dim.DYNAMIC
    free = torch.export.Dim.AUTO
    images = {0: batch} if size is not None else {0: batch, 2: free, 3: free}
    with plain_attention(), torch.no_grad():
        return torch.export.export(cut, cut.example(2, size), dynamic_shapes=(images, {0: batch}))
