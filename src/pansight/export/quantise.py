"""INT8 for processors: backbones, necks and towers in eight bits; positions, predictors and merge stay float.

What stays float is a matter of what the numbers mean. Offsets are positions to sample at; what else a method
needs in full precision, its record says (`models/*/method.py`), with the reason.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pansight.errors import InputError
from pansight.files import require_extra
from pansight.models.preprocess import Preprocess
from pansight.zoo.methods import find_method

Feeds = dict[str, np.ndarray]

# of every method: where deformable convolutions read, and what they read
DEFORMABLE = ("dcn", "conv2_offset", "offset_mask_conv")
HEAVY = {"Convolution", "GroupConvolution", "MatMul"}
"""operations that OpenVINO has in eight bits"""
NETWORK = "/network/model/"
"""in the names of the network's operations"""
# normalisation of the pixels
INPUT = ("normalise",)


def float_parts(method: str) -> tuple[str, ...]:
    """Parts of node names that stay float in this method."""
    return (*find_method(method).float_parts, *DEFORMABLE, *INPUT)


def feeds_of(images: Iterable[UInt8[np.ndarray, "_ _ 3"]], preprocess: Preprocess) -> Iterator[Feeds]:
    """The network's inputs for images, one at a time."""
    for image in images:
        pixels, sizes = preprocess.frames([image])
        yield {"images": pixels.numpy(), "valid": np.array(sizes.valid, dtype=np.int64)}


def quantise_openvino(model: Any, feeds: list[Feeds], method: str) -> Any:
    """An OpenVINO model in INT8 by NNCF, calibrated on `feeds`. Raises MissingExtraError without NNCF."""
    nncf = require_extra("nncf", "export")
    if not feeds:
        raise InputError("int8 needs images to calibrate on; give --calibrate or --data")
    kinds = {one.get_friendly_name(): one.get_type_name() for one in model.get_ordered_ops()}
    parts = float_parts(method)
    # operations that the reader puts in the place of others, such as norms, do not say where they are
    kept = sorted(name for name in kinds if NETWORK not in name or any(part in name for part in parts))
    if not HEAVY & {kinds[name] for name in kinds.keys() - set(kept)}:
        raise InputError(f"no part of this {method} network can run in int8; export it in float32")
    return nncf.quantize(
        model,
        nncf.Dataset(feeds),
        subset_size=len(feeds),
        preset=nncf.QuantizationPreset.MIXED,
        # the names are the graph's own; some may not be operations that NNCF quantises
        ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
    )


class _Reader:
    """Feeds as ONNX Runtime asks for them."""

    def __init__(self, feeds: list[Feeds]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next, or None."""
        return next(self._rest, None)


def quantise_onnx(source: Path, target: Path, feeds: list[Feeds], method: str) -> None:
    """An ONNX file in INT8 by ONNX Runtime: convolutions with what they read, a scale a channel.

    Raises MissingExtraError without ONNX Runtime and onnx.
    """
    require_extra("onnx", "export")
    quantization = require_extra("onnxruntime.quantization", "onnx")
    import onnx

    if not feeds:
        raise InputError("int8 needs images to calibrate on; give --calibrate or --data")
    graph = onnx.load(str(source), load_external_data=False).graph
    parts = float_parts(method)
    kept = [node.name for node in graph.node if any(part in node.name for part in parts)]
    # sums are quantised in the backbone alone: elsewhere they may be places to read at
    kept += [node.name for node in graph.node if node.op_type == "Add" and "backbone" not in node.name]
    quantization.quantize_static(
        str(source),
        str(target),
        _Reader(feeds),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        # seven bits of a weight: sums of two products of eight saturate on processors without VNNI
        reduce_range=True,
        op_types_to_quantize=["Conv", "Add", "Relu", "MaxPool"],
        nodes_to_exclude=kept,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options={"CalibMovingAverage": True},
    )
