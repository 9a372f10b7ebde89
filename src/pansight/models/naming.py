"""A network's outputs as tensors by name, and back: graphs of other runtimes know no nested tuples."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

_Outputs = TypeVar("_Outputs")


def named_outputs(outputs: Any, leave_out: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors of a method's NamedTuple: `semantic_logits`, or `kernels.0`, `kernels.1` of a tuple.

    Fields in `leave_out`, and those that are None, have none.
    """
    found: dict[str, Tensor] = {}
    for field, value in zip(outputs._fields, outputs, strict=True):
        if field in leave_out or value is None:
            continue
        if isinstance(value, Tensor):
            found[field] = value
        else:
            found |= {f"{field}.{number}": part for number, part in enumerate(value)}
    return found


def rebuilt_outputs(kind: type[_Outputs], tensors: Mapping[str, Tensor]) -> _Outputs:
    """The NamedTuple `kind` of what `named_outputs` gave.

    Of fields without a tensor, those that hold tuples become empty ones, others None.
    """
    assert issubclass(kind, tuple)
    parts: dict[str, Any] = {}
    for field in kind._fields:  # type: ignore[attr-defined]
        numbered = [name for name in tensors if name.rpartition(".")[0] == field]
        if field in tensors:
            parts[field] = tensors[field]
        elif numbered:
            parts[field] = tuple(tensors[f"{field}.{number}"] for number in range(len(numbered)))
        else:
            parts[field] = () if "tuple" in str(kind.__annotations__[field]) else None
    return kind(**parts)
