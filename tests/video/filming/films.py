"""Small films, and an engine that costs nothing."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSOConfig
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.protocol import Answers, Output, Rgb, Size
from pansight.zoo.spec import ModelSpec

CATEGORIES = Categories.builtin("scenes")


class BrightnessEngine:
    """Sees a car where the red channel is above 128, and sky elsewhere; its kernels are what it is told."""

    device = "cpu"
    max_batch: int | None = None
    outputs: frozenset[Output] = frozenset(("panoptic", "embeddings"))

    def __init__(self) -> None:
        self.spec = ModelSpec(
            "brightness", "yoso", YOSOConfig(), CATEGORIES, Preprocess(short=None), "a test"
        )
        self.batches: list[int] = []

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        self.batches.append(len(frames))
        height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))
        ids = torch.zeros(len(frames), height, width, dtype=torch.int32)
        for row, frame in zip(ids, frames, strict=True):
            found = torch.from_numpy((frame[..., 0] > 128).astype(np.int32) + 1)
            row[: frame.shape[0], : frame.shape[1]] = found
        kinds = torch.tensor([[CATEGORIES.index("sky"), CATEGORIES.index("car")]]).repeat(len(frames), 1)
        areas = torch.stack([(ids == n).sum((1, 2)) for n in (1, 2)], 1)
        kinds = torch.where(areas > 0, kinds, -1)
        return PanopticBatch(ids, kinds, torch.full(kinds.shape, 0.9), areas)

    def answers(
        self, frames: Sequence[Rgb], wanted: Collection[Output], sizes: Sequence[Size] | None = None
    ) -> Answers:
        vectors = [np.eye(2, 3, dtype=np.float32) for _ in frames]
        return Answers(self(frames, sizes), embeddings=vectors if "embeddings" in wanted else None)


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A bright block that moves to the right, two pixels a frame."""
    image = np.full((height, width, 3), 40, np.uint8)
    x = 4 + 2 * number % (width - 20)
    image[10:26, x : x + 12] = (220, 60, 60)
    return image


def write_film(
    path: Path,
    times: Sequence[float],
    *,
    height: int = 48,
    width: int = 64,
    sound: bool = False,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """A film of `picture`s at these times, in seconds."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.options = options or {}
        if codec == "libx264":
            stream.codec_context.time_base = Fraction(1, 90000)
        voice: Any = output.add_stream("aac", rate=8000) if sound else None
        for number, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, height, width), format="rgb24")
            frame.pts, frame.time_base = round(seconds * 90000), Fraction(1, 90000)
            if codec != "libx264":
                frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if voice is not None:
            samples = round((times[-1] + 0.04) * 8000)
            wave = 0.3 * np.sin(np.arange(samples) * 0.3).astype(np.float32)[None]
            for start in range(0, samples, 1024):
                part = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave[:, start : start + 1024]), format="fltp", layout="mono"
                )
                part.sample_rate, part.pts, part.time_base = 8000, start, Fraction(1, 8000)
                output.mux(voice.encode(part))
            output.mux(voice.encode())
    return path
