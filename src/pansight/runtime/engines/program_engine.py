"""Programs of torch.export as engines: `.pt2` files, on any device that torch has."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pansight.errors import CheckpointError, InputError
from pansight.runtime.engines.artefact import KEY, MERGE_PREFIX, Description
from pansight.zoo.reasons import first_line


class ProgramSession:
    """A graph that torch runs, on the processor.

    Raises InputError when the file cannot be read, CheckpointError when it is damaged or not by Pansight.
    """

    device = "cpu"

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; make one with: pansight export MODEL --to torch")
        if not zipfile.is_zipfile(path):  # torch would print its own traces first
            raise CheckpointError(f"{path} cannot be run (it is damaged, or no .pt2 file); export it again")
        extra = {KEY: "", "outputs": "", "inputs": ""}
        try:
            program = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra)
            self.description = Description.from_json(extra[KEY] or None, path)
            self._module = program.module()
        except CheckpointError:
            raise
        except Exception as error:  # damaged archives raise what they like
            raise CheckpointError(f"{path} cannot be run ({first_line(error)}); export it again") from error
        self._names = extra["outputs"].split(",")
        self._inputs = extra["inputs"].split(",")
        self._constants: dict[str, Tensor] = {}

    def constants(self) -> dict[str, Tensor]:
        """See Session."""
        if any(name.startswith(MERGE_PREFIX) for name in self._names) and not self._constants:
            height, width = self.description.size or (self.description.preprocess.divisor,) * 2
            images = torch.zeros(1, 3, height, width, dtype=torch.uint8)
            found = self._run({"images": images, "valid": torch.tensor([[height, width]])})
            self._constants = {name: value for name, value in found.items() if name.startswith(MERGE_PREFIX)}
        return self._constants

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Session."""
        inputs = {name: torch.from_numpy(np.asarray(value)) for name, value in feeds.items()}
        found = self._run(inputs)
        return {name: value.numpy() for name, value in found.items() if not name.startswith(MERGE_PREFIX)}

    @torch.inference_mode()
    def _run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip(self._names, self._module(*(feeds[name] for name in self._inputs)), strict=True))
