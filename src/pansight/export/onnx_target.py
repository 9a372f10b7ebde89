"""ONNX: one file, for ONNX Runtime, browsers, and as the way to other targets."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pansight.export.network import INPUTS, NetworkCut, plain_attention
from pansight.files import atomic_write
from pansight.runtime.engines.artefact import KEY, Description

OPSET = 20

# fields of ONNX's ModelProto
_PRODUCER, _PRODUCER_VERSION, _METADATA = 2, 3, 14


def write_onnx(cut: NetworkCut, description: Description, path: Path) -> None:
    """Write the file, whole or not at all. Raises InputError where it cannot be written."""
    with atomic_write(path) as temporary:
        trace_onnx(cut, temporary, description.size)
        describe_onnx(temporary, description)


def trace_onnx(cut: NetworkCut, path: Path, size: tuple[int, int] | None) -> None:
    """The bare graph; batch, and height and width without `size`, are free.

    By tracing: torch's newer exporter takes minutes for symbolic sizes, this one seconds.
    """
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
    """Put the description into a file.

    Fields of a protobuf message may simply follow what is there, so the `onnx` package is not needed.
    """
    entry = _field(1, KEY.encode()) + _field(2, description.to_json().encode())
    with path.open("ab") as file:
        file.write(_field(_PRODUCER, b"pansight"))
        file.write(_field(_PRODUCER_VERSION, description.version.encode()))
        file.write(_field(_METADATA, entry))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes in protobuf's encoding."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


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
