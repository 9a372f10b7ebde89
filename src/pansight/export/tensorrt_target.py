"""TensorRT: an engine built from the ONNX graph, free of plugins. Not run here, for want of a GPU.

The same by NVIDIA's own tool, from a file of `pansight export MODEL --to onnx --lowering gather`:

    trtexec --onnx=MODEL.onnx --fp16 --saveEngine=MODEL.plan \\
        --minShapes=images:1x3x512x512,valid:1x2 --optShapes=images:1x3x512x800,valid:1x2 \\
        --maxShapes=images:1x3x1344x1344,valid:1x2
"""

import tempfile
from pathlib import Path

from pansight.errors import DeviceError
from pansight.export.network import NetworkCut, example_size
from pansight.export.onnx_target import trace_onnx
from pansight.export.whole import WholeCut
from pansight.files import atomic_write, require_extra
from pansight.runtime.engines.artefact import Description

MAGIC = b"pansight-tensorrt\n"
"""what a file begins with; the length of the description (8 bytes), the description and the engine follow"""


def write_tensorrt(cut: NetworkCut | WholeCut, description: Description, path: Path) -> None:
    """Build for the GPU of this machine and write the engine behind its description.

    Raises MissingExtraError without TensorRT, DeviceError where it cannot build.
    """
    trt = require_extra("tensorrt", "tensorrt")
    builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "graph.onnx"
        trace_onnx(cut, onnx, description.size)
        if not parser.parse(onnx.read_bytes()):
            raise DeviceError(f"TensorRT does not accept the graph: {parser.get_error(0)}; use --to onnx")
    config = builder.create_builder_config()
    if description.precision == "float16":
        config.set_flag(trt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    height, width = description.size or example_size(description.preprocess)
    for number in range(network.num_inputs):
        entry = network.get_input(number)
        if entry.is_shape_tensor:  # sizes, of a whole cut
            profile.set_shape_input(entry.name, (32, 32), (height * 8, width * 8), (4096, 4096))
            continue
        if -1 not in tuple(entry.shape):
            continue
        shapes = []
        for scale in (1, 8, 21):
            sides = (height, width) if description.size else (height * scale, width * scale)
            images = (1, 3, *sides) if isinstance(cut, NetworkCut) else (1, *sides, 3)
            shapes.append(images if entry.name == "images" else (1, 2))
        profile.set_shape(entry.name, *shapes)
    config.add_optimization_profile(profile)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise DeviceError("TensorRT could not build the engine; its messages above say why")
    described = description.to_json().encode()
    with atomic_write(path) as temporary:
        temporary.write_bytes(MAGIC + len(described).to_bytes(8, "little") + described + bytes(built))
