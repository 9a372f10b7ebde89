"""ONNX Runtime as an engine: `.onnx` files on the processor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pansight.errors import CheckpointError, InputError
from pansight.files import require_extra
from pansight.runtime.cores import usable_cores
from pansight.runtime.engines.artefact import KEY, MERGE_PREFIX, Description, run_error
from pansight.zoo.reasons import first_line


class OnnxRuntimeSession:
    """A graph that ONNX Runtime runs on the processor.

    Args:
        path: of the file.
        threads: of one call; None: one for each usable core.

    Raises MissingExtraError without ONNX Runtime, InputError when the file cannot be read, CheckpointError
    when it is damaged or not by Pansight.
    """

    device = "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        runtime = require_extra("onnxruntime", "onnx")
        if not path.is_file():
            raise InputError(f"{path}: no such file; make one with: pansight export MODEL --to onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.log_severity_level = 3
        # a spinning thread keeps a core from the thread that decodes the next image
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes are many, and none of them public
            raise CheckpointError(f"{path} cannot be run ({first_line(error)}); export it again") from error
        self._path = path
        properties = self._session.get_modelmeta().custom_metadata_map
        self.description = Description.from_json(properties.get(KEY), path)
        names = [output.name for output in self._session.get_outputs()]
        self._constants = [name for name in names if name.startswith(MERGE_PREFIX)]
        self._outputs = [name for name in names if not name.startswith(MERGE_PREFIX)]
        self._inputs: dict[str, Any] = {one.name: one for one in self._session.get_inputs()}

    def constants(self) -> dict[str, Tensor]:
        """See Session."""
        if not self._constants:
            return {}
        height, width = self.description.size or (self.description.preprocess.divisor,) * 2
        kind = np.uint8 if self._inputs["images"].type == "tensor(uint8)" else np.float32
        feeds = {"images": np.zeros((1, 3, height, width), kind), "valid": np.array([[height, width]])}
        values = self._run(self._constants, feeds)
        return {name: torch.from_numpy(value) for name, value in zip(self._constants, values, strict=True)}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Session."""
        return dict(zip(self._outputs, self._run(self._outputs, feeds), strict=True))

    def _run(self, names: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            found: list[np.ndarray] = self._session.run(
                names, {name: value for name, value in feeds.items() if name in self._inputs}
            )
        except Exception as error:
            raise run_error(error, self._path, feeds, memory="allocate" in str(error)) from error
        return found
