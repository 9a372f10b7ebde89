"""Which images may go through a network together: those of equal padded size."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from pansight.errors import InputError
from pansight.models.preprocess import Preprocess
from pansight.runtime.engines.protocol import Rgb

_Found = TypeVar("_Found")

_MAX_INPUT_PIXELS = 64_000_000
"""Largest input of the network; a short side of 512 would make 1.3 gigapixels of an image of 1 x 5000."""


def input_size(image: Rgb, preprocess: Preprocess) -> tuple[int, int]:
    """Height and width at which an image enters the network. Raises InputError for too many pixels."""
    size = preprocess.target_size(image.shape[0], image.shape[1])
    if math.prod(size) > _MAX_INPUT_PIXELS:
        raise InputError(
            f"an image of {image.shape[1]} x {image.shape[0]} would enter the network at "
            f"{size[1]} x {size[0]} pixels; use another --resize, such as paper"
        )
    return preprocess.padded_size([size])


def chunks_of(sizes: Sequence[tuple[int, int]], most: int) -> list[list[int]]:
    """Positions of equal sizes, at most `most` together.

    Example:
        >>> chunks_of([(32, 64), (64, 64), (32, 64)], most=2)
        [[0, 2], [1]]
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault(size, []).append(index)
    return [
        members[start : start + most] for members in groups.values() for start in range(0, len(members), most)
    ]


def run_in_chunks(
    images: Sequence[Rgb], chunks: Sequence[Sequence[int]], run: Callable[[Sequence[Rgb]], Sequence[_Found]]
) -> list[_Found]:
    """What `run` gives for each chunk of the images, in the order of the images."""
    found: dict[int, _Found] = {}
    for chunk in chunks:
        found.update(zip(chunk, run([images[index] for index in chunk]), strict=True))
    return [found[index] for index in range(len(images))]
