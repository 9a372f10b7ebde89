"""Triton: a model repository: an ONNX file in its place, with a configuration.

Source: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model Repository" and "Model
Configuration". Unverified on a Triton server, since there is none where this is built.
"""

import re
from pathlib import Path
from typing import Any

from pansight.errors import InputError
from pansight.files import atomic_write, require_extra

_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(double)": "TYPE_FP64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
}
"""ONNX's names of types, and Triton's"""


def graph_path(repository: Path, name: str) -> Path:
    """Where Triton looks for the graph of a model. Raises InputError for a name that Triton cannot have."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise InputError(f"Triton cannot have a model called {name!r}; use letters, digits, - and _")
    return repository / name / "1" / "model.onnx"


def write_config(repository: Path, name: str) -> Path:
    """Write config.pbtxt for the graph that lies in its place; returns its path.

    Batches are a dimension like the others (`max_batch_size: 0`): outputs that the host's merge reads once
    have none. Raises InputError where it cannot be written, MissingExtraError without onnxruntime.
    """
    runtime = require_extra("onnxruntime", "onnx")
    session = runtime.InferenceSession(str(graph_path(repository, name)), providers=["CPUExecutionProvider"])
    text = "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            "max_batch_size: 0",
            *_tensors("input", session.get_inputs()),
            *_tensors("output", session.get_outputs()),
            "",
        ]
    )
    path = repository / name / "config.pbtxt"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="ascii")
    return path


def _tensors(kind: str, tensors: Any) -> list[str]:
    rows = []
    for tensor in tensors:
        # a name stands for a free side; a graph may not say how many there are of a scalar's
        sides = [side if isinstance(side, int) else -1 for side in tensor.shape]
        dims = f"dims: [ {', '.join(map(str, sides or [1]))} ]"
        scalar = "" if sides else " reshape: { shape: [ ] }"
        rows.append(f'{kind} [ {{ name: "{tensor.name}" data_type: {_TYPES[tensor.type]} {dims}{scalar} }} ]')
    return rows
