"""The page as a folder that any web server can host: the model runs inside the browser."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pansight.drawing.painting import segment_rows
from pansight.errors import InputError
from pansight.export.conversion import describe as describe_artefact
from pansight.export.conversion import write_artefact
from pansight.files import atomic_write
from pansight.models.base import PanopticModel
from pansight.runtime.engines.artefact import threshold_names
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene
from pansight.serve.page_routes import SAMPLES, page_files, sample_image
from pansight.serve.segment_routes import describe
from pansight.serve.served import ServedModel
from pansight.serve.web_runtime import LICENCE, runtime_files

_CHECK_SCENE = (2023, 1)
_CHECK_SIZE = (192, 256)
"""Height and width of the image that every backend of a browser is tried on."""

_LARGEST_ROWS = 255

_HEADERS = """/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  Cross-Origin-Resource-Policy: same-origin
  X-Content-Type-Options: nosniff
"""
"""In the format of Netlify and Cloudflare Pages. Elsewhere the service worker sets them."""


def write_static(
    folder: Path,
    models: Sequence[tuple[str, PanopticModel]],
    runtime: Path | None,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Write the page, models (name and model), samples and onnxruntime-web into a folder; returns its bytes.

    `runtime`: see `runtime_files`. `tell` is called with each step. Files of an earlier run are replaced;
    others stay.

    Raises InputError when the folder cannot be written or onnxruntime-web is unavailable.
    """
    files: dict[str, bytes] = {}
    tell("onnxruntime-web")
    for name, content in runtime_files(runtime).items():
        files[f"ort/{name}"] = content
    files["ort/LICENSE.txt"] = LICENCE.encode()
    described = []
    for name, model in models:
        tell(f"{name}: exporting network and merge as one graph")
        graph, check = f"models/{name}.onnx", f"models/{name}.check.json"
        artefact = describe_artefact(model, "onnx", name=name, cut="whole", lowering="gather")
        write_artefact(model, "onnx", artefact, folder / graph)
        files[graph] = (folder / graph).read_bytes()
        files[check] = json.dumps(check_of(model)).encode()
        described.append(describe_local(name, model, graph, check))
    for number in range(len(SAMPLES)):
        files[f"samples/{number}.jpg"] = sample_image(number)
    files |= page_files()
    config = {
        "backend": "local",
        "protected": False,
        "samples": [f"samples/{number}.jpg" for number in range(len(SAMPLES))],
        "models": described,
    }
    files["config.json"] = json.dumps(config).encode()
    files["files.json"] = json.dumps(_listing(files)).encode()
    files["_headers"] = _HEADERS.encode()
    tell(f"{len(files)} files")
    for name, content in files.items():
        if not name.endswith(".onnx"):
            _write(folder / name, content)
    return sum(map(len, files.values()))


def describe_local(name: str, model: PanopticModel, graph: str, check: str) -> dict[str, Any]:
    """What the page must know of a model that it runs itself."""
    engine = TorchEngine(model, device="cpu", form="fixed", name=name)
    told = describe(ServedModel(name, engine))
    inputs = threshold_names(engine.merge)
    told["settings"] = [setting for setting in told["settings"] if setting["name"] in inputs]
    rule = model.preprocess.model_dump(include={"short", "longest", "squash", "divisor", "resample"})
    if rule["resample"] != "antialias":
        raise InputError(
            f"{name} resizes by {rule['resample']}, which the page does not support; choose another model"
        )
    return {**told, "graph": graph, "check": check, "preprocess": rule}


def check_of(model: PanopticModel) -> dict[str, Any]:
    """An image and Python's map of it, by which a browser's backends are checked."""
    image = render_scene(*_CHECK_SCENE, *_CHECK_SIZE).image
    panoptic = Segmenter(TorchEngine(model, device="cpu"))(image)
    if len(panoptic.segments) > _LARGEST_ROWS:
        raise InputError(
            f"the check image has {len(panoptic.segments)} segments; that is too many for a check"
        )
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    return {
        "width": panoptic.width,
        "height": panoptic.height,
        "rgba": _packed(np.concatenate([image, opaque], axis=2).tobytes()),
        "rows": _packed(segment_rows(panoptic).astype(np.uint8).tobytes()),
        "categories": [segment.category for segment in panoptic.segments],
    }


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _listing(files: dict[str, bytes]) -> dict[str, Any]:
    """What a service worker fetches at the first visit: all but the runtime for WebGPU, which few use."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + hashlib.sha256(files[name]).digest())
    wanted = [name for name in sorted(files) if "webgpu" not in name and "asyncify" not in name]
    return {"version": digest.hexdigest()[:16], "files": ["./", *wanted]}


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
