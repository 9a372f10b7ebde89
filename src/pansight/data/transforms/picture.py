"""What transforms work on, and how they are composed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int32, UInt8
from PIL import Image
from torch.nn import functional as F

NO_OBJECTS: Int32[np.ndarray, "k"] = np.zeros(0, dtype=np.int32)


class Labelled(NamedTuple):
    """An image (RGB, 0..255) and, at each of its pixels, the id of a segment (0: none)."""

    image: UInt8[np.ndarray, "h w 3"]
    ids: Int32[np.ndarray, "h w"]
    objects: Int32[np.ndarray, " k"] = NO_OBJECTS
    """ids of the things that are single objects; a crop may strike those that it cuts off its list"""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.ids.shape[0], self.ids.shape[1]


@runtime_checkable
class Transform(Protocol):
    """Something done to an image and its ids together; all chance comes from the generator."""

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled: ...


@dataclass(frozen=True)
class Compose:
    """Transforms in order; none at all changes nothing."""

    steps: tuple[Transform, ...] = ()

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        for step in self.steps:
            labelled = step(labelled, generator)
        return labelled


def generator_for(numbers: Iterable[int]) -> np.random.Generator:
    """The generator of one sample, a function of nothing but `numbers`, such as (seed, epoch, index).

    Which worker draws, and what was drawn before, does not matter.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(tuple(numbers))))


def resize(labelled: Labelled, height: int, width: int, *, antialias: bool = True) -> Labelled:
    """Image by antialiased bilinear filter, ids by nearest neighbour (both Pillow's), to height x width.

    Without `antialias` a pixel of the image mixes the four nearest ones, in float32, and is rounded once.
    """
    if labelled.size == (height, width):
        return labelled
    # mode I holds 32 bits: no id is rounded, and NEAREST makes no new ones
    ids = np.asarray(Image.fromarray(labelled.ids).resize((width, height), Image.Resampling.NEAREST))
    if antialias:
        image = Image.fromarray(labelled.image).resize((width, height), Image.Resampling.BILINEAR)
        return labelled._replace(image=np.asarray(image), ids=ids)
    return labelled._replace(image=_mixed(labelled.image, height, width), ids=ids)


def _mixed(image: UInt8[np.ndarray, "_ _ 3"], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    # a copy: torch takes neither mirrored arrays nor read-only ones
    pixels = torch.from_numpy(image.astype(np.float32, order="C")).permute(2, 0, 1)[None]
    resized = F.interpolate(pixels, size=(height, width), mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


def crop(labelled: Labelled, top: int, left: int, height: int, width: int) -> Labelled:
    """The window of height x width whose upper left corner is (top, left), cut off at the borders."""
    rows, columns = slice(top, top + height), slice(left, left + width)
    return labelled._replace(image=labelled.image[rows, columns], ids=labelled.ids[rows, columns])


def pad(labelled: Labelled, height: int, width: int, value: int) -> Labelled:
    """Fill up to height x width at the bottom and the right: the image with `value`, the ids with 0."""
    old_height, old_width = labelled.size
    if old_height >= height and old_width >= width:
        return labelled
    size = (max(height, old_height), max(width, old_width))
    image = np.full((*size, 3), value, dtype=np.uint8)
    ids = np.zeros(size, dtype=np.int32)
    image[:old_height, :old_width] = labelled.image
    ids[:old_height, :old_width] = labelled.ids
    return labelled._replace(image=image, ids=ids)
