"""OpenVINO as an engine: `.xml` files, each with its `.bin`, on the processor."""

import threading
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


class OpenVINOSession:
    """A graph that OpenVINO runs on the processor.

    It computes in float32 whatever the weights are kept in: left to itself OpenVINO takes bfloat16 where the
    processor has it, which changes ids.

    Args:
        path: of the `.xml` file.
        threads: of one call; None: one for each usable core.

    Raises MissingExtraError without OpenVINO, InputError when the file cannot be read, CheckpointError when
    it is damaged or not by Pansight.
    """

    device = "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        openvino = require_extra("openvino", "openvino")
        for file in (path, path.with_suffix(".bin")):
            if not file.is_file():
                raise InputError(f"{file}: no such file; make one with: pansight export MODEL --to openvino")
        core = openvino.Core()
        try:
            model = core.read_model(path)
            self.description = Description.from_json(rt_info(model), path)
            self._constants = take_constants(model)
            # of the model, for compiling adds names that tensors share
            self._names = [output.get_any_name() for output in model.outputs]
            self._inputs = {one.get_any_name() for one in model.inputs}
            self._compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "f32",
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": threads or usable_cores(),
                },
            )
        except RuntimeError as error:
            raise CheckpointError(f"{path} cannot be run ({first_line(error)}); export it again") from error
        self._path = path
        self._local = threading.local()

    def constants(self) -> dict[str, Tensor]:
        """See Session."""
        return self._constants

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Session. Each thread has a request of its own, whose memory the answer lies in."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        given = {name: value for name, value in feeds.items() if name in self._inputs}
        try:
            found = request.infer(given, share_inputs=True, share_outputs=True)
        except (RuntimeError, MemoryError) as error:
            memory = isinstance(error, MemoryError) or "alloc" in str(error)
            raise run_error(error, self._path, feeds, memory=memory) from error
        return {name: found[place] for place, name in enumerate(self._names)}


def rt_info(model: Any) -> str | None:
    """The description in an OpenVINO model."""
    if not model.has_rt_info([KEY]):
        return None
    return str(model.get_rt_info([KEY]).value)


def take_constants(model: Any) -> dict[str, Tensor]:
    """Take the outputs that are constants out of the model, so that no call copies them."""
    found: dict[str, Tensor] = {}
    for result in list(model.get_results()):
        name = result.output(0).get_any_name() if result.output(0).names else ""
        if not name.startswith(MERGE_PREFIX):
            continue
        node = result.input_value(0).get_node()
        while node.get_type_name() == "Convert":  # weights kept in half precision
            node = node.input_value(0).get_node()
        found[name] = torch.from_numpy(np.array(node.data, dtype=np.float32))
        model.remove_result(result)
    return found
