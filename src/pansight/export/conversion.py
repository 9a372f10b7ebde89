"""From a model to a file that another runtime runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pansight.errors import InputError
from pansight.export.network import NetworkCut, weights_digest
from pansight.export.quantise import Feeds
from pansight.export.support import Cell, require
from pansight.export.whole import WholeCut
from pansight.models.base import PanopticModel
from pansight.nn.deform import Lowering
from pansight.runtime.engines.artefact import Cut, Description, Precision
from pansight.zoo.methods import find_method

Target: TypeAlias = Literal["onnx", "openvino", "torch", "tensorrt"]

SUFFIXES: dict[Target, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2", "tensorrt": ".engine"}

LOWERINGS: dict[Target, Lowering] = {
    "onnx": "grid",
    # its GridSample takes twice as long as gathers
    "openvino": "gather",
    "torch": "grid",
    # its fusions around GridSample have corrupted models
    "tensorrt": "gather",
}
"""form of deformable convolutions that suits a target"""


def describe(
    model: PanopticModel,
    target: Target,
    *,
    name: str = "",
    cut: Cut = "network",
    precision: Precision = "float32",
    size: tuple[int, int] | None = None,
    lowering: Lowering | None = None,
) -> Description:
    """What the artefact of `model` will say of itself; `size` makes its input fixed, height and width."""
    preprocess = model.preprocess
    if (
        cut == "whole"
        and size is None
        and preprocess.squash is not None
        and not find_method(model.method).whole_any_size
    ):
        size = preprocess.padded_size([preprocess.squash])
    if size is not None:
        preprocess = preprocess.fitted(size)
    return Description(
        name=name or model.method,
        method=model.method,
        config=model.config,
        categories=model.categories,
        preprocess=preprocess,
        cut=cut,
        precision=precision,
        size=size,
        weights=weights_digest(model),
        lowering=lowering or LOWERINGS[target],
    )


def write_artefact(
    model: PanopticModel,
    target: Target,
    description: Description,
    path: Path,
    feeds: Sequence[Feeds] = (),
) -> None:
    """Write the artefact atomically.

    `feeds` are inputs to calibrate int8 on (see `pansight.export.quantise`). Raises InputError for what is
    not supported, MissingExtraError for a missing package.
    """
    if path.suffix != SUFFIXES[target]:
        raise InputError(f"{path} must end in {SUFFIXES[target]} for {target}; choose such a name")
    if (
        description.cut == "whole"
        and description.size is None
        and not find_method(model.method).whole_any_size
    ):
        raise InputError(
            f"the merge of {model.method} chooses among as many candidates as its input has cells: give the "
            "size of the input (--size 512x800), or export the network cut"
        )
    require(Cell(model.method, target, description.cut, description.precision))
    lowering: Lowering = description.lowering  # type: ignore[assignment]
    kind = NetworkCut if description.cut == "network" else WholeCut
    cut = kind(model.optimized(), description.preprocess, lowering)
    if target == "onnx":
        from pansight.export.onnx_target import write_onnx

        write_onnx(cut, description, path, feeds)
    elif target == "openvino":
        from pansight.export.openvino_target import write_openvino

        write_openvino(cut, description, path, feeds)
    elif target == "torch":
        from pansight.export.torch_target import write_program

        assert isinstance(cut, NetworkCut), "other cuts are blocked, see pansight.export.support"
        write_program(cut, description, path)
    else:
        from pansight.export.tensorrt_target import write_tensorrt

        write_tensorrt(cut, description, path)
