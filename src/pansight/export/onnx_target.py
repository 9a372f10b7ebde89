"""ONNX: one file, for ONNX Runtime, browsers, and as the way to other targets."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pansight.export.network import NetworkCut, plain_attention
from pansight.export.quantise import Feeds, quantise_onnx
from pansight.export.whole import WholeCut
from pansight.files import atomic_write, require_extra
from pansight.runtime.engines.artefact import KEY, Description

OPSET = 20

# fields of ONNX's ModelProto
_PRODUCER, _PRODUCER_VERSION, _METADATA = 2, 3, 14


def write_onnx(
    cut: NetworkCut | WholeCut, description: Description, path: Path, feeds: Sequence[Feeds] = ()
) -> None:
    """Write the file atomically; int8 is calibrated on `feeds`.

    Raises InputError where it cannot be written, MissingExtraError for what int8 needs.
    """
    with atomic_write(path) as temporary, tempfile.TemporaryDirectory() as folder:
        plain = temporary if description.precision == "float32" else Path(folder) / "float32.onnx"
        trace_onnx(cut, plain, description.size)
        if description.precision == "int8":
            quantise_onnx(plain, temporary, list(feeds), description.method)
        describe_onnx(temporary, description)


def trace_onnx(cut: NetworkCut | WholeCut, path: Path, size: tuple[int, int] | None) -> None:
    """The bare graph; batch, and height and width without `size`, are free.

    By tracing: torch's newer exporter takes minutes for symbolic sizes, this one seconds.
    """
    require_extra("onnx", "export")  # torch's exporter reads its own graph with it
    outputs = cut.free_axes(size)
    axes: dict[str, dict[int, str]] = {"images": {0: "batch"}}
    if isinstance(cut, NetworkCut):
        axes["valid"] = {0: "batch"}
    if size is None:
        first = 2 if isinstance(cut, NetworkCut) else 1
        axes["images"] |= {first: "height", first + 1: "width"}
    axes |= outputs
    for name, symbolic in _SYMBOLICS.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic, OPSET)  # type: ignore[attr-defined]
    with _quiet(), plain_attention(), torch.no_grad():
        torch.onnx.export(
            cut,
            cut.example(2, size),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=cut.input_names(),
            output_names=list(outputs),
            dynamic_axes=axes,
            # folding takes the example's batch for a constant where shapes cannot be inferred
            do_constant_folding=isinstance(cut, NetworkCut),
        )


def _sort(g: Any, values: Any, *arguments: Any) -> Any:
    """A sort as TopK, which puts the first of equal values first: it is stable, asked for or not."""
    # sort(stable, dim, descending), or sort(dim, descending)
    dim, descending = (_number(argument) for argument in arguments[-2:])
    size = g.op("Gather", g.op("Shape", values), g.op("Constant", value_t=torch.tensor([dim])))
    return g.op("TopK", values, size, axis_i=dim, largest_i=descending, outputs=2)


def _zeros_like(g: Any, values: Any, dtype: Any = None, *_: Any) -> Any:
    """Zeros that are computed from the values.

    The exporter's own are of a shape, which it folds to that of the example where it takes it for known.
    """
    same = g.op("Equal", values, values)
    return g.op("Cast", g.op("Xor", same, same), to_i=_kind(values, dtype))


def _ones_like(g: Any, values: Any, dtype: Any = None, *_: Any) -> Any:
    """As `_zeros_like`."""
    same = g.op("Equal", values, values)
    return g.op("Cast", g.op("Not", g.op("Xor", same, same)), to_i=_kind(values, dtype))


def _full_like(g: Any, values: Any, fill: Any, dtype: Any = None, *_: Any) -> Any:
    """As `_zeros_like`."""
    return g.op("Add", _zeros_like(g, values, dtype), g.op("Cast", fill, to_i=_kind(values, dtype)))


_ONNX_KINDS = {
    torch.float32: 1,
    torch.uint8: 2,
    torch.int32: 6,
    torch.int64: 7,
    torch.bool: 9,
    torch.float16: 10,
    torch.float64: 11,
}
"""of ONNX's TensorProto, by torch's"""


def _kind(values: Any, dtype: Any) -> int:
    """ONNX's number for the type that a tensor like `values` has."""
    given = None if dtype is None or dtype.node().mustBeNone() else _number(dtype)
    kinds = {"Float": torch.float32, "Byte": torch.uint8, "Int": torch.int32, "Long": torch.int64}
    kinds |= {"Bool": torch.bool, "Half": torch.float16, "Double": torch.float64}
    codes = {0: "Byte", 3: "Int", 4: "Long", 5: "Half", 6: "Float", 7: "Double", 11: "Bool"}
    return _ONNX_KINDS[kinds[values.type().scalarType() if given is None else codes[given]]]


_SYMBOLICS: dict[str, Any] = {
    "aten::sort": _sort,
    "aten::zeros_like": _zeros_like,
    "aten::ones_like": _ones_like,
    "aten::full_like": _full_like,
}


def _number(constant: Any) -> int:
    """Of a constant in a graph that is being exported."""
    node = constant.node()
    return int(node.t("value") if node.kindOf("value") == "t" else node.i("value"))


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
