"""Comparing an artefact with torch on images: the ids that differ, and PQ where there is truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from pansight.errors import CheckpointError, InputError
from pansight.export.parity import canary
from pansight.models.base import PanopticModel
from pansight.panoptic import PanopticMap
from pansight.runtime.engines.opening import EngineOptions
from pansight.runtime.engines.protocol import Engine
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.images import read_image
from pansight.runtime.inputs import find_pictures
from pansight.runtime.segmenter import Segmenter

ID_TOLERANCE = 1e-3
"""Share of pixels that may differ in float32: ties, and what hangs on them."""

SIZES = (
    *((240, 320), (320, 240), (200, 200), (97, 211), (256, 512)),
    *((333, 250), (480, 640), (64, 80), (300, 400), (150, 600)),
)
"""of the images that are made up where none are given"""


@dataclass
class Verification:
    """The outcome. `differing` holds the share of pixels with other ids, one per image; `segments` how
    many segments torch found in all, without which equal maps say little."""

    differing: list[float] = field(default_factory=list)
    segments: int = 0

    @property
    def share(self) -> float:
        """Of pixels that differ, the mean over images."""
        return float(np.mean(self.differing)) if self.differing else 0.0

    def told(self) -> str:
        """In one line."""
        equal = sum(share == 0 for share in self.differing)
        return (
            f"{equal} of {len(self.differing)} images have torch's ids to the last pixel "
            f"({self.segments} segments); {self.share:.4%} of the pixels differ, at most "
            f"{max(self.differing, default=0):.4%}"
        )


def made_up_images(count: int = len(SIZES)) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Images of several sizes, the same always."""
    return [canary(size) for size in SIZES[:count]]


def reference(model: PanopticModel, engine: Engine, options: EngineOptions) -> TorchEngine:
    """Torch's engine for the inputs of `engine`."""
    twin = TorchEngine(model, device="cpu", resize=options.resize, merge=options.merge)
    twin.spec = engine.spec
    twin.model.preprocess = engine.spec.preprocess
    return twin


@torch.inference_mode()
def verify(engine: Engine, twin: Engine, images: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> Verification:
    """Compare the two engines' maps of each image: categories and the partition of pixels by ids."""
    ours, theirs = Segmenter(engine), Segmenter(twin)
    found = Verification()
    for image in images:
        one, other = ours(image), theirs(image)
        found.segments += len(other.segments)
        found.differing.append(float((_labels(one) != _labels(other)).mean()))
    return found


def _labels(panoptic: PanopticMap) -> Int64[np.ndarray, "h w"]:
    """Ids with their categories, so that equal numbers of other categories count as different."""
    ids = panoptic.ids.astype(np.int64)
    categories = np.full(int(ids.max(initial=0)) + 1, -1, dtype=np.int64)
    for segment in panoptic.segments:
        categories[segment.id] = segment.category
    return ids * 100_000 + categories[ids]


def check_parity(found: Verification, tolerance: float = ID_TOLERANCE) -> None:
    """Raises CheckpointError where more pixels differ than ties explain."""
    if found.share > tolerance:
        raise CheckpointError(
            f"the file's maps differ from torch's: {found.told()}; nothing was written "
            "(--no-verify writes it anyway)"
        )


def images_of(paths: Sequence[str], most: int) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """The first images of files, folders and patterns. Raises InputError where there are none."""
    files, problems = find_pictures(paths)
    if not files:
        raise InputError(problems[0] if problems else "no images; give files, folders or quoted patterns")
    return [read_image(file) for file in files[:most]]
