"""One image through an engine, stage by stage."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from pansight.drawing import overlay
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.protocol import Engine
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.images import read_image

STAGES = ("decode", "preprocess", "network", "merge", "map", "draw")
"""`decode`: JPEG file to RGB; `preprocess`: resize and pad; `network`: normalisation and all layers; `merge`:
outputs to ids on the device; `map`: to the host, with its table of segments; `draw`: an overlay."""

TOTAL = ("preprocess", "network", "merge", "map")
"""What counts as the whole call: uint8 image in, panoptic map at the image's size out."""

Rgb: TypeAlias = UInt8[np.ndarray, "h w 3"]
Milliseconds: TypeAlias = dict[str, float]


class Staged:
    """An engine taken apart, for one image.

    Args:
        engine: any that Pansight has. Where the merge is in the graph, `merge` takes no time.
        image: what goes in.
        file: the same as a JPEG.
    """

    def __init__(self, engine: Engine, image: Rgb, file: Path) -> None:
        self.engine, self.image, self.file = engine, image, file
        self._wait: Callable[[], None] = (
            torch.cuda.synchronize if engine.device.startswith("cuda") else lambda: None
        )

    def __call__(self) -> Milliseconds:
        """Milliseconds of each stage, once through."""
        times: Milliseconds = {}
        with torch.inference_mode():
            self._time(times, "decode", lambda: read_image(self.file))
            merged, output = self._merged(times)
            maps = self._time(times, "map", lambda: merged.to_maps(self.engine.spec.categories, output))
            self._time(times, "draw", lambda: overlay(self.image, maps[0]))
        return times

    def _merged(self, times: Milliseconds) -> tuple[PanopticBatch, list[tuple[int, int]]]:
        engine = self.engine
        preprocess = engine.spec.preprocess
        if isinstance(engine, NetworkEngine):
            pixels, sizes = self._time(times, "preprocess", lambda: preprocess.frames([self.image]))
            valid = np.array(sizes.valid, dtype=np.int64)
            outputs = self._time(times, "network", lambda: engine.network(pixels.numpy(), valid))
            merged = self._time(
                times, "merge", lambda: engine.model.merge(outputs, sizes, engine.merge, "pruned")
            )
            return merged, sizes.output
        if isinstance(engine, TorchEngine):
            where = torch.device(engine.device)
            pixels, sizes = self._time(times, "preprocess", lambda: preprocess.frames([self.image], where))
            inside = None if sizes.filled else torch.tensor(sizes.valid, device=where)
            outputs = self._time(times, "network", lambda: engine._network(pixels, inside))
            merged = self._time(
                times, "merge", lambda: engine.model.merge(outputs, sizes, engine.merge, engine.form)
            )
            return merged, sizes.output
        times["preprocess"] = times["merge"] = 0.0
        merged = self._time(times, "network", lambda: engine([self.image]))
        return merged, [(self.image.shape[0], self.image.shape[1])]

    def _time(self, times: Milliseconds, stage: str, work: Callable[[], Any]) -> Any:
        self._wait()
        started = time.perf_counter()
        found = work()
        self._wait()
        times[stage] = 1000 * (time.perf_counter() - started)
        return found


def total(times: Milliseconds) -> float:
    """Of the whole call."""
    return sum(times[stage] for stage in TOTAL)


def write_jpeg(image: Rgb, path: Path) -> None:
    """As a camera would."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())
