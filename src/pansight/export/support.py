"""What can be exported: every method, target, cut and precision, with the reason where it cannot."""

import json
from importlib import resources
from itertools import product
from typing import Literal, NamedTuple, TypeAlias

from pansight.errors import InputError
from pansight.zoo.methods import METHODS

Status: TypeAlias = Literal["validated", "available", "blocked"]
"""`validated`: tests run it and get torch's ids; `available`: it can be written, but no
test runs it; `blocked`: refused, with the reason."""

TARGETS = ("onnx", "openvino", "torch", "tensorrt")
CUTS = ("network", "whole")
PRECISIONS = ("float32", "float16", "int8")


class Cell(NamedTuple):
    """One way to export."""

    method: str
    target: str
    cut: str
    precision: str


class Support(NamedTuple):
    """Whether a cell works, and why not, or what is to be known of it."""

    status: Status
    reason: str = ""


VALIDATED = json.loads(
    (resources.files("pansight") / "assets" / "validated_exports.json").read_text(encoding="utf-8")
)
"""Cells that the tests have run, with the results; `tests/export` writes and checks it."""


def support(cell: Cell) -> Support:
    """Of one cell."""
    reason = _blocked(cell)
    if reason:
        return Support("blocked", reason)
    key = "/".join(cell)
    if key in VALIDATED:
        return Support("validated", VALIDATED[key])
    return Support("available", _unverified(cell))


def table() -> list[tuple[Cell, Support]]:
    """All cells."""
    cells = [Cell(*parts) for parts in product(METHODS, TARGETS, CUTS, PRECISIONS)]
    return [(cell, support(cell)) for cell in cells]


def require(cell: Cell) -> None:
    """Raises InputError, with the reason, for a cell that is blocked."""
    found = support(cell)
    if found.status == "blocked":
        raise InputError(
            f"{cell.method} cannot be exported to {cell.target} as {cell.cut}, {cell.precision}: "
            f"{found.reason}; see pansight export --list"
        )


def _blocked(cell: Cell) -> str:
    _, target, cut, precision = cell
    if cut == "whole" and precision != "float32":
        return "the merge counts pixels and compares positions, which needs more bits; use the network cut"
    if cut == "whole" and target == "torch":
        return "a program of torch keeps guards on the example's sizes; use onnx or openvino"
    if precision == "int8" and target == "torch":
        return "torch's own quantisation is slower here than the float network; use openvino or onnx"
    if precision == "int8" and target == "tensorrt":
        return "calibration needs the GPU; quantise with --to onnx and build from that"
    if precision == "float16" and target == "onnx":
        return "half precision overflows in ONNX Runtime, as seen with YOSO; use --to openvino"
    if precision == "float16" and target == "torch":
        return "half precision is chosen when the file is run, not when it is exported"
    return ""


def _unverified(cell: Cell) -> str:
    if cell.target == "tensorrt":
        return "unverified: needs an NVIDIA GPU"
    if cell.precision == "int8":
        return "evaluated by PQ on your data before it is kept; not run in the tests yet"
    return "compared with torch before it is kept; not run in the tests yet"
