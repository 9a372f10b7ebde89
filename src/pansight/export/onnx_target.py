"""ONNX: one file, for ONNX Runtime, browsers, and as the way to other targets."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pansight.export.network import INPUTS, NetworkCut, plain_attention
from pansight.files import atomic_write, require_extra
from pansight.runtime.engines.artefact import KEY, Description

OPSET = 20


def write_onnx(cut: NetworkCut, description: Description, path: Path) -> None:
    """Write the file, whole or not at all. Raises InputError where it cannot be written."""
    with atomic_write(path) as temporary:
        trace_onnx(cut, temporary, description.size)
        describe_onnx(temporary, description)


def trace_onnx(cut: NetworkCut, path: Path, size: tuple[int, int] | None) -> None:
    """The bare graph; batch, and height and width without `size`, are free.

    By tracing: torch's newer exporter takes minutes for symbolic sizes, this one seconds, and both graphs give
    the same numbers.
    """
    require_extra("onnx", "export")
    names = cut.names()
    axes: dict[str, dict[int, str]] = {"images": {0: "batch"}, "valid": {0: "batch"}}
    if size is None:
        axes["images"] |= {2: "height", 3: "width"}
    with _quiet(), plain_attention(), torch.no_grad():
        torch.onnx.export(
            cut,
            cut.example(2, size),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=names,
            dynamic_axes=axes,
        )


def describe_onnx(path: Path, description: Description) -> None:
    """Put the description into a file."""
    onnx = require_extra("onnx", "export")
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: description.to_json()})
    model.producer_name, model.producer_version = "pansight", description.version
    onnx.save(model, str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of what is meant: that it is the older one, and of sides taken for constants."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
