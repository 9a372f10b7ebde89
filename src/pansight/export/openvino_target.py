"""OpenVINO: a graph (.xml) and its weights (.bin)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pansight.errors import InputError
from pansight.export.network import NetworkCut
from pansight.export.onnx_target import trace_onnx
from pansight.export.quantise import Feeds, quantise_openvino
from pansight.export.whole import WholeCut
from pansight.files import require_extra
from pansight.runtime.engines.artefact import KEY, Description


def write_openvino(
    cut: NetworkCut | WholeCut, description: Description, path: Path, feeds: Sequence[Feeds] = ()
) -> None:
    """Write both files, the graph last: without it the weights are nothing. Raises InputError."""
    openvino = require_extra("openvino", "openvino")
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "network.onnx"
        trace_onnx(cut, onnx, description.size)
        model = openvino.Core().read_model(onnx)
        # a tensor may have several names, and any of them may be asked for later
        for output, name in zip(model.outputs, cut.names(), strict=True):
            output.get_tensor().set_names({name})
        if description.precision == "int8":
            model = quantise_openvino(model, list(feeds), description.method)
        save_openvino(model, description, path)


def save_openvino(model: Any, description: Description, path: Path) -> None:
    """Write a model with its description. Half precision halves the weights; the network runs in float32."""
    openvino = require_extra("openvino", "openvino")
    model.set_rt_info(description.to_json(), [KEY])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            written = Path(folder) / path.name
            openvino.save_model(model, written, compress_to_fp16=description.precision == "float16")
            written.with_suffix(".bin").replace(path.with_suffix(".bin"))
            written.replace(path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"cannot write {path}: {reason}; free space or choose another folder") from error
